// Drives the AXI4-Lite port of one AxiChip, an access after the other. Compiled behind `ports.cpp` and
// the C++ text that Yosys writes for the gates, which defines `cxxrtl_design::p_chip`.

namespace {

struct Bus {
  cxxrtl_design::p_chip chip;
  uint32_t refused = 0;

  Bus() {
    drive(chip.p_s__axi__wstrb, 0xfu);
    drive(chip.p_rst, 1);
    clock(chip);
    clock(chip);
    drive(chip.p_rst, 0);
  }

  // Offers a transfer until it is taken.
  template <class Valid, class Ready> void offer(Valid &valid, const Ready &ready) {
    drive(valid, 1);
    settle(chip);
    while (!high(ready)) {
      edge(chip);
      settle(chip);
    }
    edge(chip);
    drive(valid, 0);
  }

  // Waits for an answer; returns whether it is OKAY.
  template <class Valid, class Ready, class Response>
  bool answered(const Valid &valid, Ready &ready, const Response &response) {
    drive(ready, 1);
    settle(chip);
    while (!high(valid)) {
      edge(chip);
      settle(chip);
    }
    bool okay = seen(response).data[0] == 0;
    word = seen(chip.p_s__axi__rdata).data[0];
    edge(chip);
    drive(ready, 0);
    refused += !okay;
    return okay;
  }

  uint32_t word = 0;
};

}  // namespace

EXPORT Bus *axi_open() { return new Bus; }

EXPORT void axi_close(Bus *bus) { delete bus; }

// An access to the word at `address`; 0 if it was done, 1 if it was refused.
EXPORT int axi_read(void *context, uint32_t address, uint32_t *word) {
  Bus &bus = *static_cast<Bus *>(context);
  drive(bus.chip.p_s__axi__araddr, address << 2);
  bus.offer(bus.chip.p_s__axi__arvalid, bus.chip.p_s__axi__arready);
  bool okay =
      bus.answered(bus.chip.p_s__axi__rvalid, bus.chip.p_s__axi__rready, bus.chip.p_s__axi__rresp);
  *word = bus.word;
  return !okay;
}

EXPORT int axi_write(void *context, uint32_t address, uint32_t word) {
  Bus &bus = *static_cast<Bus *>(context);
  drive(bus.chip.p_s__axi__awaddr, address << 2);
  drive(bus.chip.p_s__axi__wdata, word);
  bus.offer(bus.chip.p_s__axi__awvalid, bus.chip.p_s__axi__awready);
  bus.offer(bus.chip.p_s__axi__wvalid, bus.chip.p_s__axi__wready);
  return !bus.answered(bus.chip.p_s__axi__bvalid, bus.chip.p_s__axi__bready,
                       bus.chip.p_s__axi__bresp);
}

// How many accesses were refused so far.
EXPORT uint32_t axi_refused(const Bus *bus) { return bus->refused; }
