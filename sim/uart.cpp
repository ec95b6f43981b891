// The other end of the serial line of one UartChip. Compiled behind `ports.cpp` and the C++ text that
// Yosys writes for the gates, which defines `cxxrtl_design::p_chip`.

#include <deque>

namespace {

struct Line {
  cxxrtl_design::p_chip chip;
  int divisor;
  std::deque<uint8_t> sent, received;
  // Clocks until the next bit, and bits that are left of a byte, on either wire.
  int sends_in = 0, looks_in = 0, to_send = 0, to_look = 0;
  uint32_t sending = 0, looking = 0;

  explicit Line(int divisor) : divisor(divisor) {
    drive(chip.p_rx, 1);
    drive(chip.p_rst, 1);
    clock(chip);
    clock(chip);
    drive(chip.p_rst, 0);
  }

  void send() {
    if (sends_in) {
      sends_in--;
    } else if (to_send) {
      drive(chip.p_rx, sending & 1);
      sending >>= 1;
      to_send--;
      sends_in = divisor - 1;
    } else if (!sent.empty()) {
      // Start bit, byte, stop bit.
      sending = uint32_t(sent.front()) << 1 | 0x200;
      to_send = 10;
      sent.pop_front();
      send();
    }
  }

  void look() {
    bool bit = high(chip.p_tx);
    if (looks_in) {
      looks_in--;
    } else if (to_look) {
      looking |= uint32_t(bit) << (9 - to_look);
      // What has no stop bit is no byte. The next one may begin before this bit would end.
      looks_in = --to_look ? divisor - 1 : 0;
      if (!to_look && bit) received.push_back(uint8_t(looking));
    } else if (!bit) {
      looking = 0;
      to_look = 9;
      looks_in = divisor + divisor / 2 - 1;
    }
  }

  void step() {
    send();
    settle(chip);
    look();
    edge(chip);
  }
};

}  // namespace

EXPORT Line *line_open(int divisor) { return new Line(divisor); }

EXPORT void line_close(Line *line) { delete line; }

EXPORT void line_write(Line *line, const uint8_t *bytes, int64_t count) {
  line->sent.insert(line->sent.end(), bytes, bytes + count);
}

// Runs the chip until `count` bytes have come, or for so many clocks; returns the bytes that came.
EXPORT int64_t line_read(Line *line, uint8_t *bytes, int64_t count, int64_t clocks) {
  while (clocks-- && int64_t(line->received.size()) < count) line->step();
  int64_t n = 0;
  for (; n < count && !line->received.empty(); n++) {
    bytes[n] = line->received.front();
    line->received.pop_front();
  }
  return n;
}
