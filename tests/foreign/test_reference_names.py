"""The reference UNet computes what UNet2DModel of diffusers computes with the same weights."""

import pytest
import torch
from reference_rule import by_rule, sines

from ddpm_cli.foreign.reference_names import names_in_diffusers, names_in_openai
from ddpm_cli.networks.reference import ReferenceUNet

diffusers = pytest.importorskip("diffusers")

HO = {"padding": "end", "sines_first": True, "freq_shift": 1.0, "norm_eps": 1e-6}
OF_HO = {"downsample_padding": 0, "flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6}


def model(widths, attention, blocks=2, **options):
    """A UNet2DModel with attention at some levels."""
    down = [f"{'Attn' * (each in attention)}DownBlock2D" for each in range(len(widths))]
    up = [f"{'Attn' * (each in attention)}UpBlock2D" for each in reversed(range(len(widths)))]
    return diffusers.UNet2DModel(
        block_out_channels=widths,
        down_block_types=down,
        up_block_types=up,
        layers_per_block=blocks,
        **options,
    )


def with_weights_of(theirs, ours):
    """The network with the weights of one of diffusers."""
    state, table = theirs.state_dict(), names_in_diffusers([*ours.state_dict()])
    assert sorted(name for names in table.values() for name in names) == sorted(state)
    weights = {
        name: torch.cat([state[each] for each in table[name]]).view_as(own)
        for name, own in ours.state_dict().items()
    }
    ours.load_state_dict(weights)
    return ours.eval()


@pytest.mark.parametrize(
    ("theirs", "ours", "classes"),
    [
        (
            {"widths": (32, 64), "attention": [1], "attention_head_dim": None, **OF_HO},
            {"dim_mults": (1, 2), "attention_at": [8], **HO},
            0,
        ),
        (
            {"widths": (64, 32, 32), "attention": [0, 2], "blocks": 1, "attention_head_dim": 8},
            {
                "dim": 64,
                "dim_mults": (1, 0.5, 0.5),
                "attention_at": [16, 4],
                "head_dim": 8,
                "blocks": 1,
            },
            0,
        ),
        (
            {
                "widths": (32, 32),
                "attention": [0, 1],
                "norm_num_groups": 8,
                "resnet_time_scale_shift": "scale_shift",
                "downsample_type": "resnet",
                "upsample_type": "resnet",
                "attention_head_dim": 16,
                "attn_norm_num_groups": 8,
                "num_class_embeds": 5,
            },
            {
                "dim_mults": (1, 1),
                "attention_at": [16, 8],
                "groups": 8,
                "time": "scale_shift",
                "resample": "block",
                "head_dim": 16,
                "null_label": False,
            },
            5,
        ),
    ],
)
@torch.no_grad()
def test_the_reference_unet_is_that_of_diffusers(theirs, ours, classes):
    torch.manual_seed(0)
    other = model(**theirs).eval()
    labels = torch.tensor([4, 0]) if classes else None
    own = with_weights_of(other, ReferenceUNet(3, 3, classes, (16, 16), **{"dim": 32, **ours}))
    inputs = sines(2, 3, 16, 16), torch.tensor([0.0, 500.0])
    expected = other(*inputs, class_labels=labels).sample
    torch.testing.assert_close(own(*inputs, labels), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
@torch.no_grad()
def test_the_network_of_ho_et_al_has_the_output_of_diffusers():
    options = {"attention": [1], "attention_head_dim": None, "sample_size": 32, **OF_HO}
    other = by_rule(model((128, 256, 256, 256), **options))
    options = {"dim": 128, "dim_mults": (1, 2, 2, 2), "attention_at": [16], **HO}
    own = with_weights_of(other, ReferenceUNet(3, 3, 0, (32, 32), **options))
    assert sum(each.numel() for each in own.parameters()) == 35_746_307
    one, two = sines(1, 3, 32, 32), sines(2, 3, 32, 32)
    output = own(one, torch.tensor([500.0]))
    first = torch.tensor([0.11628, 0.41011, 0.13224])
    # These weights amplify rounding: in double precision both agree to 1e-12.
    torch.testing.assert_close(output.abs().sum().item(), 457.261, rtol=2e-5, atol=0)
    torch.testing.assert_close(output.flatten()[:3], first, rtol=0, atol=2e-5)
    output = own(two, torch.tensor([0.0, 500.0]))
    torch.testing.assert_close(output.abs().sum().item(), 910.785, rtol=2e-5, atol=0)


def test_the_code_of_openai_counts_blocks_and_steps():
    options = {"dim": 32, "dim_mults": (1, 1), "blocks": 1, "attention_at": [8]}
    network = ReferenceUNet(3, 3, 2, (16, 16), **options)
    table = names_in_openai([*network.state_dict()])
    found = {
        name.rpartition(".")[0]: places[0].rpartition(".")[0] for name, places in table.items()
    }
    assert found["embed.label"] == "label_emb"
    assert found["down.0.layers.0.block.first"] == "input_blocks.1.0.in_layers.2"
    assert found["down.0.resample.shrink"] == "input_blocks.2.0.op"
    assert found["down.1.layers.0.attention.qkv"] == "input_blocks.3.1.qkv"
    assert found["middle.1.last"] == "middle_block.1.proj_out"
    assert found["up.0.layers.1.attention.norm"] == "output_blocks.1.1.norm"
    assert found["up.0.resample.grow"] == "output_blocks.1.2.conv"
    assert found["up.1.layers.0.block.time"] == "output_blocks.2.0.emb_layers.1"
    assert found["head.2"] == "out.2"
