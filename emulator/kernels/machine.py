"""Instructions that Numba has no words for.

A vector holds twice as many numbers of half the width, but sums and shifts of integers in a kernel
are int64 unless told otherwise.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

instruction: Any = intrinsic
"""Make an instruction; for its annotations the typing context would be an argument too."""

LANES = 64
"""Numbers that `add_rows` adds at a time."""


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


@instruction
def add_rows(typingctx, rows, start, stride, sources, begin, end, factor, out, at):
    """out[at + j] += factor * sum of rows[start + s * stride + j] over s in sources[begin:end].

    j : from 0 to LANES - 1.  The sum is in the type of `rows`, which must hold it; all other
    integers are int64.  As a loop of a kernel this would load and store every sum for each row.
    """

    def code(context, builder, signature, args):
        _, start, stride, _, begin, end, factor, _, at = args
        data = [context.make_array(a)(context, builder, args[n]).data
                for n, a in ((0, rows), (3, sources), (7, out))]  # fmt: skip
        narrow, wide = (ir.VectorType(context.get_data_type(a.dtype), LANES) for a in (rows, out))

        def place(pointer, index, kind):
            return builder.bitcast(builder.gep(pointer, [index]), kind.as_pointer())

        total = cgutils.alloca_once_value(builder, narrow(None))
        with cgutils.for_range(builder, end, begin) as loop:
            source = builder.load(builder.gep(data[1], [loop.index]))
            source = context.cast(builder, source, sources.dtype, types.int64)
            row = place(data[0], builder.add(start, builder.mul(source, stride)), narrow)
            loaded = builder.load(row, align=narrow.element.width // 8)
            builder.store(builder.add(builder.load(total), loaded), total)
        where = place(data[2], at, wide)
        one = builder.insert_element(
            wide(None), builder.trunc(factor, wide.element), ir.IntType(32)(0)
        )
        factors = builder.shuffle_vector(
            one, wide(None), ir.VectorType(ir.IntType(32), LANES)(None)
        )
        added = builder.mul(factors, builder.sext(builder.load(total), wide))
        align = wide.element.width // 8
        builder.store(builder.add(builder.load(where, align=align), added), where, align=align)
        return context.get_dummy_value()

    int64 = types.int64
    return (
        types.void(rows, int64, int64, sources, int64, int64, int64, out, int64),
        code,
    )
