#include "io/file.h"
#include "jobs/picture.h"
#include "jobs/report_page.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_CELLS = 24, SIDE = 160, GAP = 4, MARGIN = 12, CAPTION = 3 * RMP_GLYPH_H };
enum { CELL_W = 3 * SIDE + 2 * GAP + MARGIN, CELL_H = SIDE + CAPTION };

static const float paper = 1.0F, ink = -0.7F, empty = 0.85F;

typedef struct rmp_sheet {
    const rmp_finder *finder;
    rmp_image image;
    int64_t columns, cells, restored; /* cells drawn of, restored items in all */
    int64_t seen, drawn;
} rmp_sheet;

static void draw(rmp_sheet *sheet, int64_t y, int64_t x, const rmp_image *picture)
{
    const rmp_box box = {y, x, SIDE};
    rmp_image blank = {.shape = {1, 1, 1}, .values = (float[]){empty}};
    rmp_picture_draw(&sheet->image, box, picture->values ? picture : &blank);
}

static rmp_status draw_item(void *context, const rmp_item *item, const rmp_row *row)
{
    rmp_sheet *sheet = context;
    if (row->failed || !row->output) return RMP_OK;
    /* The items at which seen * cells / restored steps up: as many as there are cells, evenly spread. */
    int64_t before = sheet->seen++ * sheet->cells / sheet->restored;
    if (sheet->seen * sheet->cells / sheet->restored == before || sheet->drawn == sheet->cells) return RMP_OK;
    int64_t y = MARGIN + CAPTION + sheet->drawn / sheet->columns * CELL_H;
    int64_t x = MARGIN + sheet->drawn % sheet->columns * CELL_W;
    sheet->drawn++;

    rmp_pictures pictures;
    RMP_TRY(rmp_pictures_load(sheet->finder, item, row, 4 * SIDE, &pictures));
    draw(sheet, y, x, &pictures.original);
    draw(sheet, y, x + SIDE + GAP, &pictures.measurement);
    draw(sheet, y, x + 2 * (SIDE + GAP), &pictures.restored);
    rmp_pictures_free(&pictures);

    char score[64] = "";
    if (isfinite(row->psnr_input) && isfinite(row->psnr))
        snprintf(score, sizeof score, "%.2f > %.2f DB", row->psnr_input, row->psnr);
    else if (isfinite(row->psnr))
        snprintf(score, sizeof score, "%.2f DB", row->psnr);
    int64_t caption = y + SIDE + GAP;
    rmp_picture_text(&sheet->image, caption, x, 2 * SIDE, item->id, ink);
    rmp_picture_text(&sheet->image, caption, x + 2 * (SIDE + GAP), SIDE, score, ink);
    return RMP_OK;
}

static rmp_status count_restored(void *context, const rmp_item *item, const rmp_row *row)
{
    (void)item;
    rmp_sheet *sheet = context;
    if (!row->failed && row->output) sheet->restored++;
    return RMP_OK;
}

static rmp_status create(rmp_sheet *sheet)
{
    sheet->cells = sheet->restored < MAX_CELLS ? sheet->restored : MAX_CELLS;
    sheet->columns = sheet->cells <= 3 ? 1 : sheet->cells <= 12 ? 2 : 3;
    int64_t rows = (sheet->cells + sheet->columns - 1) / sheet->columns;
    RMP_TRY(
        rmp_picture_create(MARGIN + CAPTION + rows * CELL_H, MARGIN + sheet->columns * CELL_W, paper, &sheet->image));
    static const char *const head[] = {"ORIGINAL", "MEASUREMENT", "RESTORED"};
    for (int64_t c = 0; c < sheet->columns; c++)
        for (int64_t i = 0; i < 3; i++)
            rmp_picture_text(&sheet->image, MARGIN, MARGIN + c * CELL_W + i * (SIDE + GAP), SIDE, head[i], ink);
    return RMP_OK;
}

rmp_status rmp_report_sheet(const rmp_finder *finder)
{
    rmp_sheet sheet = {.finder = finder};
    rmp_journal *journal = NULL;
    void *bytes = NULL;
    size_t size = 0;
    rmp_status status;
    RMP_TRY(rmp_journal_open_readonly(finder->dir, &journal));
    RMP_TRY_GOTO(rmp_journal_visit(journal, count_restored, &sheet), done);
    if (sheet.restored == 0) goto done;
    RMP_TRY_GOTO(create(&sheet), done);
    RMP_TRY_GOTO(rmp_journal_visit(journal, draw_item, &sheet), done);
    RMP_TRY_GOTO(rmp_image_encode(&sheet.image, RMP_PNG8, &bytes, &size), done);
    status = rmp_file_write(finder->dir, "contact_sheet.png", bytes, size);
done:
    free(bytes);
    rmp_image_free(&sheet.image);
    rmp_journal_close(&journal);
    return status;
}
