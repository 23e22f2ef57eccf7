"""Models whose weights will be read from a file need no random ones first: minutes saved at 4 B parameters."""

from collections.abc import Callable, Iterable, Mapping

from torch.overrides import TorchFunctionMode

# Of torch.nn.init and of tensors. By name: transformers puts functions of its own in the place of torch.nn.init's.
_RANDOM = {
    *("kaiming_normal_", "kaiming_uniform_", "xavier_normal_", "xavier_uniform_"),
    *("normal_", "trunc_normal_", "uniform_", "erfinv_"),
}


class Blank(TorchFunctionMode):
    """Inside it, what fills a tensor in place with random numbers leaves it as it is.

    Memory that nobody writes is not taken from the system, and buffers that no file holds (position codes, rotary
    frequencies) are computed as always, which they are not on the meta device.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """What torch calls in place of `func`."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _RANDOM:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
