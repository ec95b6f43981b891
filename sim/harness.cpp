// Drives the ports of one chip clock by clock and notes what they show. Compiled behind `ports.cpp` and
// the C++ text that Yosys writes for the chip, which defines `cxxrtl_design::p_chip`.

namespace {

using Words = std::vector<uint32_t>;

template <class Port> void drive_words(Port &port, const uint32_t *words) {
  auto &value = driven(port);
  for (size_t n = 0; n < value.chunks; n++) value.data[n] = words[n];
}

template <class Port> void note(Words &list, const Port &port) {
  const auto &value = seen(port);
  list.insert(list.end(), value.data, value.data + value.chunks);
}

enum Status { OK, HANGS, UNSTABLE };

// datapath.ports.Command: those that an END answers.
const uint32_t TICK = 1, LEARN = 3, UPDATE = 4;

struct Bench {
  cxxrtl_design::p_chip chip;
  uint64_t noise = 0;
  Words results, probes, cycles;

  Bench() {
    drive(chip.p_rst, 1);
    clock(chip);
    clock(chip);
    drive(chip.p_rst, 0);
  }

  bool coin() {  // xorshift64; without a seed it always shows heads
    if (!noise) return true;
    noise ^= noise << 13;
    noise ^= noise >> 7;
    noise ^= noise << 17;
    return noise >> 63;
  }

  // While a command runs the host bus is deaf; whatever a bus of many masters shows must not matter.
  void disturb(bool running) {
    drive(chip.p_host____write, running && coin());
    drive(chip.p_host____read, running && coin());
    const uint32_t junk[2] = {uint32_t(noise), uint32_t(noise >> 32)};
    drive(chip.p_host____data, junk[0]);
    auto &address = driven(chip.p_host____address);
    address.data[0] = junk[1] & uint32_t((uint64_t(1) << address.bits) - 1);
  }

  void load(const uint32_t *address, const uint32_t *data, int64_t count) {
    for (int64_t n = 0; n < count; n++) {
      drive(chip.p_host____address, address[n]);
      drive(chip.p_host____data, data[n]);
      drive(chip.p_host____write, 1);
      clock(chip);
    }
    drive(chip.p_host____write, 0);
  }

  // One read per clock; its beat is there `latency` clocks later.
  void read(const uint32_t *address, uint32_t *data, int64_t count, int64_t latency) {
    for (int64_t n = 0; n < count + latency; n++) {
      bool asks = n < count;
      if (asks) drive(chip.p_host____address, address[n]);
      drive(chip.p_host____read, asks);
      settle(chip);
      if (n >= latency) data[n - latency] = seen(chip.p_host____result).data[0];
      edge(chip);
    }
  }

  // The operation is in the lowest `op_bits` of a payload of `width` words.
  Status run(const uint32_t *commands, int64_t count, int64_t width, int64_t op_bits, uint64_t seed,
             int64_t limit) {
    const uint32_t op_mask = (uint32_t(1) << op_bits) - 1;
    noise = seed;
    results.clear();
    probes.clear();
    cycles.clear();
    bool offered = false, waiting = false, started = false, busy = false;
    Words held;
    int64_t next = 0, waited = 0;
    for (;;) {
      // Without a command left, a chip that is ready for one has finished the last.
      offered = next < count && (offered || coin());
      drive(chip.p_i____valid, offered);
      if (offered) drive_words(chip.p_i____payload, commands + next * width);
      // A sink that waits for `valid` hangs a chip whose `valid` waits for `ready`.
      bool takes = !noise || (waiting && coin());
      drive(chip.p_o____ready, takes);
      settle(chip);
      if (noise) {
        disturb(busy && !high(chip.p_i____ready) && !high(chip.p_o____valid));
        settle(chip);
      }

      uint32_t command = uint32_t(next - 1);
      Words shown;
      if (high(chip.p_o____valid)) note(shown, chip.p_o____payload);
      if (waiting && shown != held) return UNSTABLE;
      if (!shown.empty() && takes) {
        results.push_back(command);
        results.insert(results.end(), shown.begin(), shown.end());
      }
      waiting = !shown.empty() && !takes;
      held = waiting ? shown : Words();
      if (high(chip.p_probe____valid)) {
        probes.push_back(command);
        note(probes, chip.p_probe____block);
        note(probes, chip.p_probe____lanes);
      }
      bool ready = high(chip.p_i____ready);
      bool accepted = ready && offered, finished = ready && next == count && shown.empty();
      if ((accepted || finished) && started) cycles.push_back(uint32_t(waited));
      if (finished) {
        disturb(false);
        return OK;
      }
      // From the clock after such a command until its END the chip is not idle.
      busy = busy && !ready;
      if (accepted) {
        uint32_t op = commands[next * width] & op_mask;
        busy = op == TICK || op == LEARN || op == UPDATE;
        started = true;
        waited = 0;
        next++;
        offered = false;
      }
      if (waited++ > limit) return HANGS;
      edge(chip);
    }
  }
};

}  // namespace

EXPORT Bench *bench_open() { return new Bench; }

EXPORT void bench_close(Bench *bench) { delete bench; }

EXPORT void bench_load(Bench *bench, const uint32_t *address, const uint32_t *data, int64_t count) {
  bench->load(address, data, count);
}

EXPORT void bench_read(Bench *bench, const uint32_t *address, uint32_t *data, int64_t count,
                       int64_t latency) {
  bench->read(address, data, count, latency);
}

EXPORT int bench_run(Bench *bench, const uint32_t *commands, int64_t count, int64_t width,
                     int64_t op_bits, uint64_t seed, int64_t limit) {
  return bench->run(commands, count, width, op_bits, seed, limit);
}

// Words of a memory one after another, as many 32-bit words each as they need.
template <class Memory> void copy(const Memory &memory, size_t count, uint32_t *words) {
  for (size_t n = 0; n < count; n++) {
    const auto &value = memory[n];
    for (size_t k = 0; k < value.chunks; k++) *words++ = value.data[k];
  }
}

// `which`: 0 results, 1 probes, 2 cycles. The words stay valid until the next run.
EXPORT const uint32_t *bench_words(Bench *bench, int which, int64_t *count) {
  const Words &words = which == 0 ? bench->results : which == 1 ? bench->probes : bench->cycles;
  *count = int64_t(words.size());
  return words.data();
}
