"""Instructions that Numba has no words for.

A vector holds twice as many numbers of half the width, but sums and shifts of integers in a kernel
are int64 unless told otherwise.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

instruction: Any = intrinsic
"""Make an instruction; for its annotations the typing context would be an argument too."""


@instruction
def like(typingctx, value, x):
    """Return `value` in the type of `x`, which must hold it."""

    def code(context, builder, signature, args):
        return context.cast(builder, args[0], *signature.args)

    return x(value, x), code


@instruction
def shift_right(typingctx, x, k):
    """Shift the signed `x` right by fewer bits than its type has, in its type."""

    def code(context, builder, signature, args):
        return builder.ashr(args[0], context.cast(builder, args[1], k, x))

    return x(x, k), code


@instruction
def trailing_zeros(typingctx, word):
    """Position of the lowest set bit of `word`, uint64; 64 if there is none."""

    def code(context, builder, signature, args):
        return builder.cttz(args[0], context.get_constant(types.boolean, 0))

    return types.uint64(types.uint64), code


@instruction
def set_bits(typingctx, word):
    """Count the set bits of `word`, uint64."""

    def code(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), code


@instruction
def set_items(typingctx, array, first):
    """Return which of array[first : first + 64] are not zero, as bits of a word, uint64.

    array : contiguous, taken as flat.  first : uint64.
    """

    def code(context, builder, signature, args):
        made = context.make_array(array)(context, builder, args[0])
        loaded = ir.VectorType(context.get_data_type(array.dtype), 64)
        start = builder.bitcast(builder.gep(made.data, [args[1]]), loaded.as_pointer())
        items = builder.load(start, align=context.get_abi_alignment(loaded.element))
        return builder.bitcast(builder.icmp_unsigned("!=", items, loaded(None)), ir.IntType(64))

    return types.uint64(array, types.uint64), code
