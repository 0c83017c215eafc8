#include "jobs/interrupt.h"

#include <signal.h>
#include <string.h>

static volatile sig_atomic_t pending;

static void on_signal(int signal_number)
{
    (void)signal_number;
    pending = 1;
}

void rmp_interrupt_watch(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = (int)SA_RESETHAND | SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool rmp_interrupt_pending(void) { return pending != 0; }

void rmp_interrupt_raise(void) { pending = 1; }
