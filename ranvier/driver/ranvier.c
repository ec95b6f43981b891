#include "ranvier.h"

/* Bits of beats, from `shift` on, with the sign of the highest one if there is one. */
static int64_t field(const uint32_t *beats, uint32_t shift, uint32_t bits, uint32_t is_signed)
{
    uint64_t value = 0;
    for (uint32_t n = 0; n < bits; n++)
        value |= (uint64_t)(beats[(shift + n) / 32] >> (shift + n) % 32 & 1u) << n;
    if (is_signed && value >> (bits - 1) & 1u)
        return (int64_t)value - ((int64_t)1 << bits);
    return (int64_t)value;
}

static void put(uint32_t *beats, uint32_t shift, uint32_t bits, uint32_t value)
{
    for (uint32_t n = 0; n < bits && n < 32; n++)
        beats[(shift + n) / 32] |= (value >> n & 1u) << (shift + n) % 32;
}

/* Read a register until it is not 0. */
static int await(struct ranvier *chip, uint32_t address, uint32_t *word)
{
    for (uint32_t n = 0;; n++) {
        int failed = chip->read(chip->context, address, word);
        if (failed || *word)
            return failed;
        if (chip->patience && n == chip->patience)
            return RANVIER_TIMEOUT;
    }
}

static int send(struct ranvier *chip, uint32_t op, uint32_t channel, uint32_t count)
{
    uint32_t beats[RANVIER_COMMAND_BEATS] = {0};
    if (channel > RANVIER_COMMAND_CHANNEL_MASK || count > RANVIER_COMMAND_COUNT_MASK)
        return RANVIER_RANGE;
    put(beats, RANVIER_COMMAND_OP_SHIFT, RANVIER_COMMAND_OP_BITS, op);
    put(beats, RANVIER_COMMAND_CHANNEL_SHIFT, RANVIER_COMMAND_CHANNEL_BITS, channel);
    put(beats, RANVIER_COMMAND_COUNT_SHIFT, RANVIER_COMMAND_COUNT_BITS, count);
    if (!chip->room) {
        int failed = await(chip, RANVIER_REGISTER_ROOM_ADDRESS, &chip->room);
        if (failed)
            return failed;
    }
    chip->room--;
    for (uint32_t beat = 0; beat < RANVIER_COMMAND_BEATS; beat++) {
        int failed = chip->write(chip->context, RANVIER_COMMAND_ADDRESS + beat, beats[beat]);
        if (failed)
            return failed;
    }
    return RANVIER_OK;
}

static int take(struct ranvier *chip, struct ranvier_result *result)
{
    uint32_t beats[RANVIER_RESULT_BEATS];
    for (uint32_t beat = 0; beat < RANVIER_RESULT_BEATS; beat++) {
        int failed = chip->read(chip->context, RANVIER_RESULT_ADDRESS + beat, &beats[beat]);
        if (failed)
            return failed;
    }
    result->op = (uint32_t)field(beats, RANVIER_RESULT_OP_SHIFT, RANVIER_RESULT_OP_BITS,
                                 RANVIER_RESULT_OP_SIGNED);
    result->index = (uint32_t)field(beats, RANVIER_RESULT_INDEX_SHIFT, RANVIER_RESULT_INDEX_BITS,
                                    RANVIER_RESULT_INDEX_SIGNED);
    result->value = field(beats, RANVIER_RESULT_VALUE_SHIFT, RANVIER_RESULT_VALUE_BITS,
                          RANVIER_RESULT_VALUE_SIGNED);
    result->saturated =
        (uint32_t)field(beats, RANVIER_RESULT_SATURATED_SHIFT, RANVIER_RESULT_SATURATED_BITS,
                        RANVIER_RESULT_SATURATED_SIGNED);
    return RANVIER_OK;
}

/* Send a command, and take results up to its END. */
static int run(struct ranvier *chip, uint32_t op, uint32_t channel, struct ranvier_result *end)
{
    uint32_t waiting = 0;
    int failed = send(chip, op, channel, 0);
    while (!failed) {
        if (!waiting)
            failed = await(chip, RANVIER_REGISTER_WAITING_ADDRESS, &waiting);
        if (!failed)
            failed = take(chip, end);
        if (!failed && end->op == RANVIER_RESULT_END)
            return RANVIER_OK;
        if (!failed && chip->result)
            chip->result(chip->context, end);
        waiting--;
    }
    return failed;
}

int ranvier_open(struct ranvier *chip)
{
    uint32_t word, idle = 0;
    int failed = chip->read(chip->context, RANVIER_REGISTER_MAGIC_ADDRESS, &word);
    if (failed)
        return failed;
    if (word != RANVIER_MAGIC)
        return RANVIER_NO_CHIP;
    failed = chip->read(chip->context, RANVIER_REGISTER_CHIP_ADDRESS, &word);
    if (failed)
        return failed;
    if (word != RANVIER_CHIP)
        return RANVIER_OTHER_CHIP;
    chip->room = 0;
    /* What an earlier host has left runs to its end, which may need room for results. */
    for (uint32_t n = 0; !idle; n++) {
        struct ranvier_result old;
        if (chip->patience && n == chip->patience)
            return RANVIER_TIMEOUT;
        failed = chip->read(chip->context, RANVIER_REGISTER_IDLE_ADDRESS, &idle);
        if (failed)
            return failed;
        failed = chip->read(chip->context, RANVIER_REGISTER_WAITING_ADDRESS, &word);
        if (failed)
            return failed;
        for (; word; word--) {
            failed = take(chip, &old);
            if (failed)
                return failed;
        }
    }
    return RANVIER_OK;
}

/* Visit every word of the image once no command runs. */
static int each(struct ranvier *chip,
                int (*visit)(struct ranvier *chip, uint32_t address, uint32_t word))
{
    uint32_t idle;
    int failed = await(chip, RANVIER_REGISTER_IDLE_ADDRESS, &idle);
    for (uint32_t r = 0; r < RANVIER_RUNS; r++) {
        const struct ranvier_run *run = &ranvier_runs[r];
        for (uint32_t w = 0; w < run->words; w++)
            for (uint32_t b = 0; b < run->beats; b++) {
                if (failed)
                    return failed;
                failed = visit(chip, run->address + w * run->stride + b,
                               run->data[w * run->beats + b]);
            }
    }
    return failed;
}

static int load(struct ranvier *chip, uint32_t address, uint32_t word)
{
    return chip->write(chip->context, address, word);
}

static int verify(struct ranvier *chip, uint32_t address, uint32_t word)
{
    uint32_t found;
    int failed = chip->read(chip->context, address, &found);
    return !failed && found != word ? RANVIER_DIFFERS : failed;
}

int ranvier_load(struct ranvier *chip) { return each(chip, load); }

int ranvier_verify(struct ranvier *chip) { return each(chip, verify); }

int ranvier_clear(struct ranvier *chip) { return send(chip, RANVIER_COMMAND_CLEAR, 0, 0); }

int ranvier_event(struct ranvier *chip, uint32_t channel, uint32_t count)
{
    if (channel >= RANVIER_CHANNELS)
        return RANVIER_RANGE;
    return send(chip, RANVIER_COMMAND_EVENT, channel, count);
}

int ranvier_tick(struct ranvier *chip, struct ranvier_result *end)
{
    return run(chip, RANVIER_COMMAND_TICK, 0, end);
}

#if RANVIER_LEARNS
int ranvier_learn(struct ranvier *chip, uint32_t label, struct ranvier_result *end)
{
    if (label >= RANVIER_CLASSES)
        return RANVIER_RANGE;
    return run(chip, RANVIER_COMMAND_LEARN, label, end);
}

int ranvier_update(struct ranvier *chip, struct ranvier_result *end)
{
    return run(chip, RANVIER_COMMAND_UPDATE, 0, end);
}
#endif

int ranvier_run(struct ranvier *chip, const struct ranvier_event *events, uint32_t count,
                uint32_t ticks, struct ranvier_result *end)
{
    uint32_t next = 0;
    int failed = ranvier_clear(chip);
    for (uint32_t tick = 0; tick < ticks && !failed; tick++) {
        for (; next < count && events[next].tick == tick && !failed; next++)
            failed = ranvier_event(chip, events[next].channel, events[next].count);
        if (!failed)
            failed = ranvier_tick(chip, end);
    }
    /* An event that is left came too late, or was not in order. */
    return !failed && next < count ? RANVIER_RANGE : failed;
}

int ranvier_clocks(struct ranvier *chip, uint32_t *clocks)
{
    int failed = chip->read(chip->context, RANVIER_REGISTER_CLOCKS_ADDRESS, clocks);
    return failed ? failed : chip->write(chip->context, RANVIER_REGISTER_CLOCKS_ADDRESS, 0);
}

int ranvier_mapped_read(void *context, uint32_t address, uint32_t *word)
{
    *word = ((volatile uint32_t *)context)[address];
    return 0;
}

int ranvier_mapped_write(void *context, uint32_t address, uint32_t word)
{
    ((volatile uint32_t *)context)[address] = word;
    return 0;
}
