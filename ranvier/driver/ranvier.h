/* Driver of a chip behind AXI4-Lite, or any other bus of 32-bit words. C99, no allocation.
 *
 * The image is that of ranvier_image.h, beside this file. A function returns RANVIER_OK or why it
 * stopped; what the functions of the bus return, if it is not 0, is passed on.
 *
 * No access is ever made that the chip would refuse, since a refusal is an exception on some
 * processors: the driver asks first whether there is room, and whether a result waits.
 */
#ifndef RANVIER_H
#define RANVIER_H

#include <stdint.h>

#include "ranvier_image.h"

enum ranvier_status {
    RANVIER_OK = 0,
    RANVIER_NO_CHIP = -1,    /* what answers is no chip of this kind */
    RANVIER_OTHER_CHIP = -2, /* the image is for another chip */
    RANVIER_DIFFERS = -3,    /* a memory does not hold what was written to it */
    RANVIER_RANGE = -4,      /* a channel, count or label that no command can carry */
    RANVIER_TIMEOUT = -5     /* the chip does not come to an end */
};

/* One result of the chip; fields that an operation does not have are 0. */
struct ranvier_result {
    uint32_t op; /* RANVIER_RESULT_SPIKE, RANVIER_RESULT_READOUT or RANVIER_RESULT_END */
    uint32_t index;
    int64_t value;
    uint32_t saturated;
};

/* A chip, and how to reach it.
 *
 * read, write : access the word at `address`, which counts words; return 0 if that was possible.
 * result : told every result but the END of a command; may be NULL.
 * patience : how often the driver asks a busy chip before it gives up; 0 for ever.
 * room : leave it 0.
 */
struct ranvier {
    int (*read)(void *context, uint32_t address, uint32_t *word);
    int (*write)(void *context, uint32_t address, uint32_t word);
    void (*result)(void *context, const struct ranvier_result *result);
    void *context;
    uint32_t patience;
    uint32_t room;
};

/* Events on one channel in one tick of a recording. */
struct ranvier_event {
    uint32_t tick;
    uint32_t channel;
    uint32_t count;
};

/* Look whether there is a chip that the image fits, and take away results nobody took. */
int ranvier_open(struct ranvier *chip);

/* Write the image; read it back, and compare. Learning changes memories: compare before it. */
int ranvier_load(struct ranvier *chip);
int ranvier_verify(struct ranvier *chip);

/* The commands. A tick ends with an END, which is put into *end. */
int ranvier_clear(struct ranvier *chip);
int ranvier_event(struct ranvier *chip, uint32_t channel, uint32_t count);
int ranvier_tick(struct ranvier *chip, struct ranvier_result *end);
#if RANVIER_LEARNS
int ranvier_learn(struct ranvier *chip, uint32_t label, struct ranvier_result *end);
int ranvier_update(struct ranvier *chip, struct ranvier_result *end);
#endif

/* Run a recording from a cleared chip: events sorted by tick, none at or after `ticks`.
 * The last END is put into *end: its index is the class. */
int ranvier_run(struct ranvier *chip, const struct ranvier_event *events, uint32_t count,
                uint32_t ticks, struct ranvier_result *end);

/* Clocks that commands have taken since this was last asked. */
int ranvier_clocks(struct ranvier *chip, uint32_t *clocks);

/* A bus that is mapped into memory: `context` is the address of the chip. */
int ranvier_mapped_read(void *context, uint32_t address, uint32_t *word);
int ranvier_mapped_write(void *context, uint32_t address, uint32_t word);

#endif
