"""What pictures to expect of a run, by how often it sees its images."""

from ddpm_cli.recipes.choice import images_to_see
from ddpm_cli.recipes.facts import Facts

NOISE, ROUGH = 0.1, 1 / 3  # shares of the images that a run should see, below which samples are so


def passes_text(images: int, seen: int) -> str:
    """A warning of a run that sees its images too seldom; "" for a run that does not.

    images: the training images. seen: the images in all steps.
    """
    wanted = images_to_see(Facts(images))
    if seen >= ROUGH * wanted:
        return ""
    passes, kind = seen / images, "noise" if seen < NOISE * wanted else "rough shapes"
    many = f"{passes:.1f}" if passes < 10 else f"{passes:,.0f}"
    return f"{many} passes over the images: expect {kind}; about {wanted / images:,.0f} are needed"
