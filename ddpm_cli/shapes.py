"""Array types: each shape has one name here, and tests check arrays against it."""

from collections.abc import Mapping
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from torch import Tensor

Images: TypeAlias = Float[Tensor, "batch channels height width"]
Single: TypeAlias = Float[Tensor, "1 channels height width"]
Maps: TypeAlias = Float[Tensor, "batch _ height width"]
Resized: TypeAlias = Float[Tensor, "batch _ _ _"]
Bytes: TypeAlias = UInt8[Tensor, "batch channels height width"]
Coloured: TypeAlias = UInt8[Tensor, "batch 3 height width"]
Prepared: TypeAlias = Float[Tensor, "batch 3 224 224"]
Pixels: TypeAlias = UInt8[Tensor, "channels height width"]
Larger: TypeAlias = UInt8[Tensor, "channels _ _"]
Mask: TypeAlias = Bool[Tensor, "1 1 height width"]
Labels: TypeAlias = Int64[Tensor, " batch"]
Indices: TypeAlias = Int64[Tensor, " batch"]
Weights: TypeAlias = Float64[Tensor, " batch"]
Uniforms: TypeAlias = Float64[Tensor, " batch"]
Times: TypeAlias = Int64[Tensor, " batch"]
Fixed: TypeAlias = Float64[Tensor, "denoisers quarters _"]
Each: TypeAlias = Float64[Tensor, " _"]
Columns: TypeAlias = Float32[Tensor, "validations levels"]
Kept: TypeAlias = Float64[Tensor, "steps kept"]
Counts: TypeAlias = Int64[Tensor, " steps"]
NetworkTimes: TypeAlias = Float32[Tensor, " batch"]
PerImage: TypeAlias = Float[Tensor, " batch"]
Table: TypeAlias = Float64[Tensor, "steps values batch"]
PerTime: TypeAlias = Float64[Tensor, " steps"]
Tokens: TypeAlias = Float[Tensor, "batch _ features"]
Heads: TypeAlias = Float[Tensor, "batch heads positions features"]
Positions: TypeAlias = Float[Tensor, "batch _ positions"]
Features: TypeAlias = Float[Tensor, "batch features"]
Others: TypeAlias = Float[Tensor, "_ features"]
Values: TypeAlias = Float64[Tensor, " features"]
Distances: TypeAlias = Float64[Tensor, "batch neighbours"]
Places: TypeAlias = Int64[Tensor, "batch neighbours"]
Pairs: TypeAlias = Bool[Tensor, "batch _"]
Sets: TypeAlias = Bool[Tensor, "sets batch"]
Reaches: TypeAlias = Float64[Tensor, "sets batch"]
Truths: TypeAlias = Bool[Tensor, " batch"]
Mean: TypeAlias = Float64[Tensor, " features"]
Covariance: TypeAlias = Float64[Tensor, "features features"]
Coefficient: TypeAlias = Float64[Tensor, "*batch"]
Fitted: TypeAlias = Float[Tensor, "..."]
Betas: TypeAlias = Float64[Tensor, " steps"]
AlphaBar: TypeAlias = Float64[Tensor, " times"]
Flag: TypeAlias = Bool[Tensor, ""]
Scalar: TypeAlias = Float[Tensor, ""]
Number: TypeAlias = Int64[Tensor, ""]
Halves: TypeAlias = Float32[Tensor, "batch _"]
Rates: TypeAlias = Float32[Tensor, " groups"]
Exponents: TypeAlias = Float32[Tensor, " lengths"]
Gram: TypeAlias = Float64[Tensor, "profiles profiles"]
Numbers: TypeAlias = Float32[Tensor, " numbers"]
StepLosses: TypeAlias = Float32[Tensor, "steps batch"]
Time: TypeAlias = float | Float[Tensor, "*batch"] | Int64[Tensor, "*batch"]


def tensor_kinds(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.dtype, int]]:
    """The type and the number of axes of each tensor."""
    return {name: (tensor.dtype, tensor.ndim) for name, tensor in tensors.items()}
