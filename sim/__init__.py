"""That the two agree: the gates under three simulators against the emulator, bit for bit.

`sim.verify` compares a whole Image; every `test_<block>.py` is a cocotb bench of one block.
"""
