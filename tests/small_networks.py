"""Options that make each choice of the group model small."""

REFERENCE = {"dim": 8, "dim_mults": [1, 2], "blocks": 1, "groups": 4, "dropout": 0.0}
SMALL_NETWORKS = {
    "resnet": {"dim": 8, "dim_mults": [1, 2]},
    "convnext": {"dim": 8, "dim_mults": [1, 2]},
    "ho": {**REFERENCE, "attention_at": [4]},
    "iddpm": {**REFERENCE, "attention_at": [8, 4]},
    "adm": {**REFERENCE, "attention_at": [8, 6], "head_dim": 4},
    "dit": {"hidden": 8, "depth": 2, "heads": 2},
}


def small_network(choice, **options):
    """The overrides of a small network."""
    named = {**SMALL_NETWORKS[choice], **options}
    values = [f"model.network.{name}={value}" for name, value in named.items()]
    return [f"model={choice}", *values]
