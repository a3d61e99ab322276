"""Asks for memory before it is needed."""

from __future__ import annotations

from typing import Any

from tidegate.runtime.mojo.numba_names import intrinsic, ir, types


def _prefetch_typed(_: Any, array: Any, index: Any) -> Any:
    """Ask for the line of the cache that has an item of an array, which is C-contiguous and of one dimension; nothing
    waits for it. What is beyond the array does no harm."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole, flag = ir.IntType(64), ir.IntType(32)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        address = builder.add(builder.ptrtoint(data, whole), builder.mul(arguments[1], ir.Constant(whole, size)))
        line = builder.inttoptr(address, ir.IntType(8).as_pointer())
        ask = builder.module.declare_intrinsic(
            "llvm.prefetch", [line.type], ir.FunctionType(ir.VoidType(), [line.type, flag, flag, flag])
        )
        # To read it, to be kept in all caches, and data.
        builder.call(ask, [line, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, types.uint64), generate


prefetch: Any = intrinsic(_prefetch_typed)
