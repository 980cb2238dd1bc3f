"""The configurations of diffusers: what the reference UNet expresses, and what it cannot."""

import pytest

from ddpm_cli.foreign.json_fields import JsonFields
from ddpm_cli.foreign.schedulers import limits_of, meaning_of, schedule_of
from ddpm_cli.foreign.unet_config import network_options
from ddpm_cli.foreign.unet_fields import unet_fields

PLAIN = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.42.1",
    "sample_size": 16,
    "block_out_channels": [32, 64],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "attention_head_dim": 16,
}
SCALED = {
    **PLAIN,
    "block_out_channels": [64, 32, 96],
    "sample_size": [32, 16],
    "down_block_types": ["ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"],
    "downsample_type": "resnet",
    "upsample_type": "resnet",
    "resnet_time_scale_shift": "scale_shift",
    "attn_norm_num_groups": 32,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "num_class_embeds": 5,
}


@pytest.mark.parametrize("fields", [PLAIN, SCALED, {**PLAIN, "attention_head_dim": None}])
def test_a_configuration_goes_both_ways(fields):
    options = network_options(JsonFields("config.json", fields))
    size = fields["sample_size"]
    shape = [3, *([size, size] if isinstance(size, int) else size)]
    rows = fields.get("num_class_embeds", 0)
    back = unet_fields(options, shape, outputs=3, rows=rows, time_scale=1.0)
    assert {name: back[name] for name in fields if not name.endswith("version")} == {
        name: each for name, each in fields.items() if not name.endswith("version")
    }
    assert network_options(JsonFields("config.json", back)) == options


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"class_embed_type": "timestep"}, "class_embed_type must be null, but is 'timestep'"),
        ({"center_input_sample": True}, "center_input_sample must be false or null, but is true"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type must be 'positional', but is"),
        ({"time_embedding_dim": 64}, "time_embedding_dim must be null or 128, but is 64"),
        ({"mid_block_type": None}, "mid_block_type must be 'UNetMidBlock2D', but is null"),
        ({"add_attention": False}, "add_attention must be true, but is false"),
        ({"act_fn": "gelu"}, "act_fn must be 'silu' or 'swish', but is 'gelu'"),
        ({"layers_per_block": 10**9}, "layers_per_block must be 1 to 64, but is 1000000000"),
        ({"new": 1}, "config.json: the field 'new' is not known here"),
        ({"attention_head_dim": 24}, "attention_head_dim must be null, or a divisor of 64"),
        ({"attention_head_dim": None, "norm_eps": "small"}, "norm_eps must be float, but is"),
        ({"sample_size": None}, "sample_size must be int or a list of int, but is null"),
        ({"block_out_channels": []}, "block_out_channels must be positive and even, but is []"),
        ({"up_block_types": ["UpBlock2D"] * 2}, "up_block_types must be down_block_types in rev"),
        ({"up_block_types": ["UpBlock2D"]}, "up_block_types must be 2 names"),
        ({"down_block_types": ["SkipDownBlock2D"] * 2}, "down_block_types must be of DownBlock2D"),
        ({"downsample_padding": 2}, "downsample_padding must be one of 0, 1, but is 2"),
        ({"resnet_time_scale_shift": "scale_shift"}, "attn_norm_num_groups must be 32, but is nul"),
        ({"upsample_type": "resnet"}, "up_block_types must be of one kind with down_block_types"),
        ({"sample_size": [64, 16], "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
          "block_out_channels": [32, 64]}, None),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_expressed_is_named(fields, told):
    config = JsonFields("config.json", {**PLAIN, **fields})
    if told is None:
        assert network_options(config)["attention_at"] == [32]
        return
    with pytest.raises(ValueError, match="config") as error:
        network_options(config)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"heads": 4, "head_dim": None}, "4 heads at the widths 32, 64: diffusers has one width"),
        ({"dim": 64, "dim_mults": [0.5, 1]}, "dim_mults must begin with 1, but are [0.5, 1]"),
        ({"time_scale": 0.25}, "model.time_scale must be 1, but is 0.25: diffusers gives"),
    ],
)
def test_what_diffusers_cannot_hold_is_refused_with_the_reason(options, told):
    own = network_options(JsonFields("config.json", PLAIN)) | {"attention_at": [16, 8]}
    scale = options.get("time_scale", 1.0)
    with pytest.raises(ValueError, match="to=diffusers: ") as error:
        unet_fields({**own, **options}, [3, 16, 16], outputs=3, rows=0, time_scale=scale)
    assert told in str(error.value)


def test_heads_at_one_width_are_a_width_of_heads():
    own = network_options(JsonFields("config.json", PLAIN)) | {"heads": 4, "head_dim": None}
    fields = unet_fields(own, [3, 16, 16], outputs=3, rows=0, time_scale=1.0)
    assert fields["attention_head_dim"] == 16


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"_class_name": "ScoreSdeVeScheduler"}, "_class_name must be one of DDPMScheduler"),
        ({"prediction_type": "flow_prediction"}, "prediction_type must be one of epsilon, sample"),
        ({"variance_type": "learned"}, "variance_type must be one of"),
        ({"beta_schedule": "laplace"}, "beta_schedule must be one of linear"),
        (
            {"trained_betas": [0.1] * 5000},
            "trained_betas must be 2 to 4,000 numbers, but are 5,000",
        ),
        ({"num_train_timesteps": "many"}, "num_train_timesteps must be int, but is 'many'"),
    ],
)
def test_a_scheduler_that_cannot_be_expressed_is_refused_by_its_field(fields, told):
    config = JsonFields("scheduler_config.json", {"_class_name": "DDPMScheduler", **fields})
    with pytest.raises(ValueError, match="scheduler_config") as error:
        schedule_of(config), meaning_of(config)
    assert told in str(error.value)


DYNAMIC = {"thresholding": True, "dynamic_thresholding_ratio": 0.9}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"clip_sample": False}, "x_0 as ddpm-sample threshold=none does"),
        ({"clip_sample_range": 2.0}, "clips x_0 to 2 (clip_sample_range), which has no option"),
        ({**DYNAMIC, "sample_max_value": 1.5}, "x_0 as ddpm-sample threshold=dynamic quantile=0.9"),
        ({**DYNAMIC, "sample_max_value": 1.5}, "but at 1.5 at the most (sample_max_value), which"),
    ],
)
def test_how_a_scheduler_limits_x0_is_told_with_its_field(fields, told):
    assert told in limits_of(JsonFields("", fields))


@pytest.mark.parametrize("fields", [{}, {"clip_sample_range": 1}, DYNAMIC])
def test_a_scheduler_that_clips_as_we_do_says_nothing(fields):
    assert limits_of(JsonFields("", fields)) == ""
