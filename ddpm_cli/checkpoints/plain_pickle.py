"""A reader of the pickles of `torch.save`, which makes plain values and dense tensors.

It calls and imports nothing that a pickle names. A global stands for its name. Keys of dictionaries
are texts and numbers. BUILD, which gives an object attributes, is a call by this name.
"""

import pickletools
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, TypeAlias

from torch import Tensor

from ddpm_cli.checkpoints.safetensors_file import DamagedError, is_counts

MOST = 2**19  # opcodes, and numbers for keys
VALUES = {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "GLOBAL"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
COUNTS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 1, "SETITEM": 2}
SINCE_MARK = ("TUPLE", "APPENDS", "SETITEMS")
Call: TypeAlias = Callable[[Any, Any], Any]


def read_pickle(text: bytes, storage: Callable[[Any], Tensor], call: Call | None = None) -> Any:
    """The value of a pickle. storage: the numbers of a tensor by their persistent id.

    call: the result of a call by the name and the arguments in the pickle; `rebuild` if None.
    Raises DamagedError for what no pickle of a checkpoint holds.
    """
    call = call or rebuild
    stack, marks, memo = list[Any](), list[int](), dict[Any, Any]()
    for name, arg in opcodes(text):
        if name in VALUES:
            stack.append(arg)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name.endswith("PUT"):
            memo[arg] = stack[-1]
        elif name.endswith("GET"):
            stack.append(memo[arg])
        elif name == "MARK":
            marks.append(len(stack))
        elif name in COUNTS or name in SINCE_MARK:
            start = len(stack) - COUNTS[name] if name in COUNTS else marks.pop()
            items, stack[start:] = stack[start:], []
            collect(stack, name, items)
        elif name == "BINPERSID":
            stack.append(storage(stack.pop()))
        else:
            args = stack.pop()
            own = (stack.pop(), args) if name == "REDUCE" else (name, (stack.pop(), args))
            stack.append(call(*own))
    (value,) = stack
    return value


def opcodes(text: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the name and the argument of each opcode that `torch.save` writes for plain values."""
    others = {"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "MARK", "BINPERSID"}
    known = {*VALUES, *CONSTANTS, *EMPTY, *COUNTS, *SINCE_MARK, *others, "REDUCE", "BUILD"}
    for count, (opcode, arg, _) in enumerate(pickletools.genops(text)):
        if count == MOST:
            raise DamagedError("the pickle is too long")
        if opcode.name in known:
            yield opcode.name, arg
        elif opcode.name not in ("PROTO", "STOP"):
            raise DamagedError(f"the pickle holds {opcode.name}")


def collect(stack: list[Any], name: str, items: list[Any]) -> None:
    """Make a tuple of items, or add the items to the list or dictionary on top of a stack."""
    if name.startswith("TUPLE"):
        stack.append(tuple(items))
    elif name.startswith("APPEND"):
        stack[-1].extend(items)
    else:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not (type(key) is str or (type(key) is int and 0 <= key < MOST)):
                raise DamagedError("a key is neither a text nor a small number")
            stack[-1][key] = value


def rebuild(name: Any, args: Any) -> Any:
    """The result of one of the two calls in a pickle of tensors."""
    if name == "torch._utils _rebuild_tensor_v2":
        return dense(*args[:4])
    if name == "collections OrderedDict" and args == ():
        return {}
    raise DamagedError("the pickle names a foreign object")


def dense(storage: Tensor, offset: Any, shape: Any, strides: Any) -> Tensor:
    """A contiguous tensor in a storage, which must hold all of it."""
    if not (is_counts([offset, *shape]) and is_counts([*strides])):
        raise DamagedError("a tensor has impossible numbers")
    tensor = storage[offset : offset + prod(shape)].view(shape)
    if tensor.stride() != strides:
        raise DamagedError("a tensor is not dense")
    return tensor
