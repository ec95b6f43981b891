// The ports of gates that Yosys writes as C++. Compiled behind that text, before a harness.

#include <cstdint>
#include <vector>

namespace {

// A port is a value or a wire, as Yosys finds fit.
template <size_t Bits> const cxxrtl::value<Bits> &seen(const cxxrtl::value<Bits> &port) { return port; }
template <size_t Bits> const cxxrtl::value<Bits> &seen(const cxxrtl::wire<Bits> &port) { return port.curr; }
template <size_t Bits> cxxrtl::value<Bits> &driven(cxxrtl::value<Bits> &port) { return port; }
template <size_t Bits> cxxrtl::value<Bits> &driven(cxxrtl::wire<Bits> &port) { return port.next; }

template <class Port> bool high(const Port &port) { return seen(port).data[0] & 1; }

template <class Port> void drive(Port &port, uint32_t word) { driven(port).data[0] = word; }

// Everything that follows from the inputs, before the edge.
template <class Gates> void settle(Gates &gates) {
  drive(gates.p_clk, 0);
  gates.step();
}

template <class Gates> void edge(Gates &gates) {
  drive(gates.p_clk, 1u);
  gates.step();
}

template <class Gates> void clock(Gates &gates) {
  settle(gates);
  edge(gates);
}

}  // namespace

#ifdef _WIN32
#define EXPORT extern "C" __declspec(dllexport)
#else
#define EXPORT extern "C"
#endif
