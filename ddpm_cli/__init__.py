"""Train and sample Denoising Diffusion Probabilistic Models, from the command line and Python.

    import ddpm_cli

    model = ddpm_cli.load("outputs/mine/checkpoints/last.safetensors")
    ddpm_cli.image_grid(model.sample(16, seed=3)).save("samples.png")

The import takes two milliseconds: torch is imported when a name in `__all__` is first used.
"""

TYPE_CHECKING = False  # type checkers take it for true; the import of typing would take 9 ms

if TYPE_CHECKING:
    from ddpm_cli.api.model import Model, load
    from ddpm_cli.api.pictures import image_grid, pil_images
    from ddpm_cli.api.run import TrainingRun, train

__all__ = ["Model", "TrainingRun", "image_grid", "load", "pil_images", "train"]

if not TYPE_CHECKING:  # by this function every name would be there for a type checker

    def __getattr__(name: str) -> object:
        """A name of `__all__` from its module, which is imported now."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        home = {"TrainingRun": "run", "train": "run", "Model": "model", "load": "model"}
        return getattr(import_module(f"ddpm_cli.api.{home.get(name, 'pictures')}"), name)


def __dir__() -> list[str]:
    """The names of the module, those of `__all__` among them."""
    return sorted({*globals(), *__all__})
