"""The metric `cas`: the accuracy on real images of a classifier trained on generated images."""

from dataclasses import replace

import torch

from ddpm_cli.commands.evaluate.generated import GeneratedImages
from ddpm_cli.commands.evaluate.inputs import EvaluationInputs, part_text
from ddpm_cli.console import printable
from ddpm_cli.evaluation.classification_scores import LabelledImages, score_classification
from ddpm_cli.evaluation.protocol import MetricResult, Protocol
from ddpm_cli.metrics.class_accuracy import CLASSIFIER
from ddpm_cli.shapes import Labels

SHOWN = 10  # the most classes in a message
REMEDY = "ddpm-sample label=all with png=true or npz=true writes them into index.csv"


def refuse_without_classes(inputs: EvaluationInputs) -> None:
    """Refuse data, a model or a label without classes for `cas`."""
    data, held_out, label = inputs.parts["all"], inputs.parts["held_out"], inputs.generation.label
    if data.labels is None or not data.classes or int(data.labels.max()) < 0:
        raise ValueError("cas needs images with classes, but those of the data have none")
    if int(data.labels.max()) >= len(data.classes):
        rule = f"cas needs labels less than {len(data.classes)}, the classes there are"
        raise ValueError(f"{rule}, but one is {int(data.labels.max())}")
    if inputs.options.generated is None and not inputs.denoiser.conditional:
        others = "or generated=FOLDER whose index.csv names classes"
        needed = "a class-conditional checkpoint (trained with model.conditional=true)"
        raise ValueError(f"cas needs {needed}, {others}; this one is unconditional")
    if label != ("all" if inputs.options.generated is None else None):
        text = "null" if label is None else label
        rule = "no label with generated" if inputs.options.generated else "label=all"
        raise ValueError(f"cas needs images of all classes, with {rule}, but label is {text}")
    assert held_out.labels is not None, "a part has labels as its set has"
    if not (held_out.labels >= 0).any():
        share = f"data.holdout={inputs.preparation.holdout:g}"
        raise ValueError(f"cas needs held-out images with classes, but there are 0 ({share})")


def generated_labels(inputs: EvaluationInputs, generated: GeneratedImages) -> Labels:
    """The number of the class of each generated image.

    Raises ValueError if images have no class, or a class that is none of the data's.
    """
    if generated.drawn is not None:
        labels = generated.drawn.generator.labels(range(len(generated.images)))
        assert labels is not None, "the caller has looked for label=all"
        return labels.cpu()
    classes, names, where = inputs.parts["all"].classes, generated.classes, inputs.options.generated
    if missing := len(generated.images) - sum(map(bool, names)):
        share = f"{missing:,} of {len(generated.images):,} in {where!r} have none"
        raise ValueError(f"cas needs the class of each generated image, but {share}; {REMEDY}")
    known = {name: number for number, name in enumerate(classes)}
    if others := sorted({*names} - {*classes}):
        rule = f"classes of the images in {where!r} must be the data's, {listed_classes(classes)}"
        raise ValueError(f"{rule}, but one is {printable(others[0])}")
    if len({*names}) < 2:
        raise ValueError(
            f"cas needs images of several classes, but in {where!r} all are {printable(names[0])}"
        )
    return torch.tensor([known[name] for name in names])


def listed_classes(classes: list[str]) -> str:
    """The first classes in words."""
    return ", ".join(classes[:SHOWN]) + ", ..." * (len(classes) > SHOWN)


def classification_results(
    inputs: EvaluationInputs, generated: GeneratedImages
) -> list[MetricResult]:
    """The accuracy by generated images, and that by as many training images as a ceiling."""
    data, device = inputs.parts, inputs.denoiser.device
    labels, count = generated_labels(inputs, generated), len(generated.images)
    held_out = LabelledImages.of_set(data["held_out"])
    training = LabelledImages.of_set(data["training"], count)
    own = LabelledImages.of(generated.images, torch.arange(count), labels)
    against = f"{data['held_out'].fingerprint[:10]} {len(held_out.labels):,}"
    drawn = generated.drawn is not None
    protocol = Protocol(
        metric="cas",
        by=CLASSIFIER,
        images=f"tested on {against} {part_text(inputs, 'held_out')}",
        n=count,
        sampler=generated.sampler,
        steering=generated.steering,
        seed=inputs.generation.seed if drawn else None,
        weights=inputs.checkpoint.weights_text(inputs.options.weights) if drawn else "",
        precision=inputs.generation.precision if drawn else "",
    )
    real = f"{data['training'].fingerprint[:10]} training images"
    ceiling = replace(protocol, n=len(training.labels), sampler=real, steering="")
    ceiling = replace(ceiling, metric="cas_real", seed=None, weights="", precision="")
    return [
        MetricResult(
            each.metric,
            score_classification(each.metric, images, held_out, data["all"].classes, device),
            each,
        )
        for each, images in ((protocol, own), (ceiling, training))
    ]
