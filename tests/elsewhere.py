"""A second device, simulated on a machine without one: what a GPU refuses is refused.

Tensors `there` say that they are on another device and compute on the CPU, bit for bit as there.
What joins them with a tensor of the CPU, other than by copying it over, is an error, as on a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map_only
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

SIMULATED = not torch.cuda.is_available()  # autograd knows one kind of accelerator in a process
if SIMULATED:
    _setup_privateuseone_for_python_backend("elsewhere")
DEVICE = torch.device("elsewhere" if SIMULATED else "cuda", 0)
aten = torch.ops.aten
# What copies over; and on a GPU, too, indices may lie on the CPU, if not the other way round.
JOINING = {aten._to_copy.default, aten.copy_.default, aten.copy.default}
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
INDEXING |= {aten._index_put_impl_.default, aten._unsafe_index.Tensor}


class There(torch.Tensor):
    """A tensor on the other device; `here` holds its values."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> There:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE,
        )
        made.here = here
        return made

    def __init__(self, here: Tensor) -> None:
        pass

    def tolist(self) -> Any:
        return self.here.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy")

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"There({self.here!r})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class _Making(TorchDispatchMode):
    """What is made with `device=DEVICE` from nothing is made there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    given = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
    asked = kwargs.get("device")
    if not any(isinstance(each, There) for each in given) and asked != DEVICE:
        return func(*args, **kwargs)
    strangers = [each for each in given if not isinstance(each, There) and each.dim() > 0]
    if func in INDEXING and isinstance(args[0], There):
        strangers = []
    if strangers and len(strangers) < len(given) and func not in JOINING:
        raise RuntimeError(f"{func}: expected all tensors on one device, got {DEVICE} and cpu")
    arguments, named = tree_map_only(There, lambda each: each.here, (args, kwargs))
    if asked is not None:
        named["device"] = torch.device("cpu")
    found = func(*arguments, **named)
    filled_here = func is aten.copy_.default and not isinstance(args[0], There)
    if asked not in (None, DEVICE) or filled_here:
        return found
    found = tree_map_only(Tensor, There, found)
    return return_and_correct_aliasing(func, args, kwargs, found)


def there(tensor: Tensor) -> Tensor:
    return tensor.to(DEVICE)


@contextmanager
def elsewhere() -> Iterator[None]:
    """While it lasts, DEVICE is there."""
    torch._C._set_only_lift_cpu_tensors(True)  # else torch.tensor(..., device=) passes the mode by
    # `parameter.data = ...` would leave `here` as it was.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Making():
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        torch._C._set_only_lift_cpu_tensors(False)
