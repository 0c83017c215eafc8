/* SIGINT, SIGTERM: a job stops at the next step, keeps what is complete, and the same command continues it. A second
 * signal ends the process at once. */
#pragma once

#include <stdbool.h>

void rmp_interrupt_watch(void);
/* True once a signal has come, or rmp_interrupt_raise was called. */
bool rmp_interrupt_pending(void);
void rmp_interrupt_raise(void);
