"""Writes eager_torch.json: what eager torch on the CPU gives for small inputs, in the operators of modules of transformers,
diffusers and sglang. roundings_of_torch_test.cpp compares the norms with it, to the bit.

torch sums a row in another order than Kerncast. Elements whose value lies so close to a tie that the last bits of a mean
or a mean square could decide how it is rounded are marked, and not compared.

Usage: eager_torch.py OUTPUT, with torch installed
"""

import json
import sys

import torch
import torch.nn.functional as F

ROWS, WIDTH, EPS = 2, 64, 1e-6
# The error of a norm of 64 elements in f32, relative to its terms: 13 roundings in a row of its longest sum, of which
# the root keeps half, 2^-22.9 of the root and 6 roundings of its own.
SLACK = 2.0**-20
NAMES = {torch.bfloat16: "bf16", torch.float16: "f16", torch.float32: "f32"}


def layer(x, weight=None, bias=None):
    """The exact value of a layer norm, and the sum of the magnitudes of its terms."""
    x = x.double()
    deviation = x - x.mean(-1, keepdim=True)
    factor = torch.rsqrt(deviation.pow(2).mean(-1, keepdim=True) + EPS)
    n = deviation * factor
    terms = n.abs() + 1
    if weight is not None:
        n, terms = n * weight.double(), terms * weight.double().abs()
    if bias is not None:
        n, terms = n + bias.double(), terms + bias.double().abs()
    return n, terms


def rms(x, weight=None, offset=0.0):
    x = x.double()
    n = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS)
    if weight is not None:
        n = n * (weight.double() + offset)
    return n, n.abs()


def diffusers_rms(x, weight):
    """RMSNorm of diffusers (models/normalization.py)."""
    variance = x.to(torch.float32).pow(2).mean(-1, keepdim=True)
    n = x * torch.rsqrt(variance + EPS)
    return n.to(weight.dtype) * weight


def llama_rms(x, weight):
    """LlamaRMSNorm of transformers."""
    n = x.to(torch.float32)
    n = n * torch.rsqrt(n.pow(2).mean(-1, keepdim=True) + EPS)
    return weight * n.to(x.dtype)


def fp32_layer_norm(x):
    """FP32LayerNorm of diffusers without weight and bias."""
    return F.layer_norm(x.float(), (WIDTH,), eps=EPS).to(x.dtype)


class Draw:
    """Inputs of one case."""

    def __init__(self, seed, dtype):
        self.generator = torch.Generator().manual_seed(seed)
        self.dtype = dtype
        self.tensors = {}

    def __call__(self, name, shape, scale, centre=0.0, dtype=None):
        values = torch.randn(shape, generator=self.generator) * scale + centre
        self.tensors[name] = values.to(dtype or self.dtype)
        return self.tensors[name]

    def rows(self, name):
        return self(name, (ROWS, WIDTH), 1.7, 0.3)

    def weight(self):
        return self("weight", (WIDTH,), 0.3, 1.0)

    def bias(self):
        return self("bias", (WIDTH,), 0.5)

    def modulation(self, *names, dtype=None):
        return [self(name, (1, WIDTH), 0.4, dtype=dtype) for name in names]


# Each case draws its inputs, and returns the op, its settings, its results, the exact value of its norm with the
# magnitude of its terms, and the operators after the norm.


def ada_layer_norm_zero(draw):
    """AdaLayerNormZero of diffusers, as FluxTransformerBlock has it."""
    x = draw.rows("x")
    scale, shift = draw.modulation("scale", "shift")
    norm = torch.nn.LayerNorm(WIDTH, elementwise_affine=False, eps=EPS)
    y = norm(x) * (1 + scale) + shift
    return (
        "norm.scale_shift",
        {"aten_rounding": "rounded_norm"},
        {"y": y},
        layer(x),
        (lambda n: n.to(x.dtype) * (1 + scale) + shift),
    )


def ada_layer_norm_fp32(draw):
    """AdaLayerNormZero of diffusers with norm_type fp32_layer_norm, and modulation in f32."""
    x = draw.rows("x")
    scale, shift = draw.modulation("scale", "shift", dtype=torch.float32)
    y = (fp32_layer_norm(x) * (1 + scale) + shift).to(x.dtype)
    return (
        "norm.scale_shift",
        {"aten_rounding": "rounded_norm"},
        {"y": y},
        layer(x),
        (lambda n: (n.to(x.dtype) * (1 + scale) + shift).to(x.dtype)),
    )


def ada_layer_norm_continuous(draw):
    """AdaLayerNormContinuous of diffusers with weight and bias."""
    x = draw.rows("x")
    weight, bias = draw.weight(), draw.bias()
    scale, shift = draw.modulation("scale", "shift")
    y = F.layer_norm(x, (WIDTH,), weight, bias, EPS) * (1 + scale) + shift
    return (
        "norm.scale_shift",
        {"aten_rounding": "rounded_norm"},
        {"y": y},
        layer(x, weight, bias),
        (lambda n: n.to(x.dtype) * (1 + scale) + shift),
    )


def ada_rms_norm_continuous(draw):
    """AdaLayerNormContinuous of diffusers with norm_type rms_norm."""
    x = draw.rows("x")
    weight = draw.weight()
    scale, shift = draw.modulation("scale", "shift")
    y = diffusers_rms(x, weight) * (1 + scale) + shift
    settings = {"aten_rounding": "split_norm", "norm": "rms"}
    return "norm.scale_shift", settings, {"y": y}, rms(x), (lambda n: n.to(x.dtype) * weight * (1 + scale) + shift)


def wan_norm(draw):
    """The first norm of WanTransformerBlock of diffusers."""
    x = draw.rows("x")
    scale, shift = draw.modulation("scale", "shift", dtype=torch.float32)
    y = (fp32_layer_norm(x.float()) * (1 + scale) + shift).type_as(x)
    return (
        "norm.scale_shift",
        {"aten_rounding": "f32_norm"},
        {"y": y},
        layer(x),
        (lambda n: (n.float() * (1 + scale) + shift).type_as(x)),
    )


def folded_modulation(draw):
    """fused_ln_modulate of sglang."""
    x = draw.rows("x")
    scale, shift = draw.modulation("scale", "shift")
    y = F.layer_norm(x, (WIDTH,), (1 + scale).reshape(-1), shift.reshape(-1), EPS)
    return (
        "norm.scale_shift",
        {"aten_rounding": "f32_norm"},
        {"y": y},
        layer(x),
        (lambda n: (n.float() * (1 + scale).float() + shift.float()).to(x.dtype)),
    )


def flux_block(draw):
    """The gated residual and second norm of FluxTransformerBlock and QwenImageTransformerBlock of diffusers."""
    x, residual = draw.rows("x"), draw.rows("residual")
    gate, scale, shift = draw.modulation("gate", "scale", "shift")
    r = residual + gate * x
    y = F.layer_norm(r, (WIDTH,), eps=EPS) * (1 + scale) + shift
    return (
        "norm.gate_residual_scale_shift",
        {"aten_rounding": "rounded_norm"},
        {"r": r, "y": y},
        layer(r),
        (lambda n: n.to(x.dtype) * (1 + scale) + shift),
    )


def wan_block(draw):
    """The gated residual and third norm of WanTransformerBlock of diffusers."""
    x, residual = draw.rows("x"), draw.rows("residual")
    gate, scale, shift = draw.modulation("gate", "scale", "shift", dtype=torch.float32)
    r = (residual.float() + x * gate).type_as(residual)
    y = (fp32_layer_norm(r.float()) * (1 + scale) + shift).type_as(residual)
    return (
        "norm.gate_residual_scale_shift",
        {"aten_rounding": "f32_norm"},
        {"r": r, "y": y},
        layer(r),
        (lambda n: (n.float() * (1 + scale) + shift).type_as(residual)),
    )


def lumina_block(draw):
    """A residual without a gate, then LuminaRMSNormZero of diffusers, which has no shift."""
    x, residual = draw.rows("x"), draw.rows("residual")
    weight = draw.weight()
    (scale,) = draw.modulation("scale")
    r = residual + x
    y = diffusers_rms(r, weight) * (1 + scale)
    settings = {"aten_rounding": "split_norm", "norm": "rms"}
    return (
        "norm.gate_residual_scale_shift",
        settings,
        {"r": r, "y": y},
        rms(r),
        (lambda n: n.to(x.dtype) * weight * (1 + scale)),
    )


def llama_decoder_layer(draw):
    """LlamaDecoderLayer of transformers: the sum and the norm after attention."""
    x, residual = draw.rows("x"), draw.rows("residual")
    weight = draw.weight()
    total = residual + x
    y = llama_rms(total, weight)
    settings = {"round_residual": "true", "hf_rounding": "true"}
    return (
        "norm.fused_add_rms_norm",
        settings,
        {"residual_out": total, "y": y},
        rms(total),
        (lambda n: weight * n.to(x.dtype)),
    )


def sglang_gemma_layer(draw):
    """GemmaRMSNorm._forward_impl of sglang with a residual."""
    x, residual = draw.rows("x"), draw.rows("residual")
    weight = draw("weight", (WIDTH,), 0.3)
    total = x + residual
    wide = total.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + EPS)
    y = (wide * (1.0 + weight.float())).to(x.dtype)
    settings = {"round_residual": "true", "weight_offset": 1.0}
    return (
        "norm.fused_add_rms_norm",
        settings,
        {"residual_out": total, "y": y},
        rms(total, weight, 1.0),
        (lambda n: n.to(x.dtype)),
    )


def sglang_layer(draw):
    """RMSNorm.forward_native of sglang with a residual."""
    x, residual = draw.rows("x"), draw.rows("residual")
    weight = draw.weight()
    total = x.float() + residual.float()
    wide = total * torch.rsqrt(total.pow(2).mean(-1, keepdim=True) + EPS)
    y = (wide * weight).to(x.dtype)
    return (
        "norm.fused_add_rms_norm",
        {},
        {"residual_out": total.to(x.dtype), "y": y},
        rms(total, weight),
        (lambda n: n.to(x.dtype)),
    )


def layer_norm(draw):
    """nn.LayerNorm, which is one operator."""
    x = draw.rows("x")
    weight, bias = draw.weight(), draw.bias()
    y = F.layer_norm(x, (WIDTH,), weight, bias, EPS)
    return "norm.layer_norm", {}, {"y": y}, layer(x, weight, bias), lambda n: n.to(x.dtype)


def llama_rms_norm(draw):
    """LlamaRMSNorm of transformers."""
    x = draw.rows("x")
    weight = draw.weight()
    y = llama_rms(x, weight)
    return "norm.rms_norm", {"hf_rounding": "true"}, {"y": y}, rms(x), lambda n: weight * n.to(x.dtype)


def qwen3_next_gated_norm(draw):
    """Qwen3NextRMSNormGated of transformers."""
    x, z = draw.rows("x"), draw.rows("z")
    weight = draw.weight()
    gate = F.silu(z.to(torch.float32))
    y = (llama_rms(x, weight) * gate).to(x.dtype)
    return (
        "norm.gated_rms_norm",
        {"hf_rounding": "true"},
        {"y": y},
        rms(x),
        (
            # The exponential is an approximation.
            lambda n: (weight * n.to(x.dtype) * gate * torch.tensor([1 - SLACK, 1 + SLACK])[:, None, None]).to(x.dtype)
        ),
    )


CASES = [
    ada_layer_norm_zero,
    ada_layer_norm_fp32,
    ada_layer_norm_continuous,
    ada_rms_norm_continuous,
    wan_norm,
    folded_modulation,
    flux_block,
    wan_block,
    lumina_block,
    llama_decoder_layer,
    sglang_gemma_layer,
    sglang_layer,
    layer_norm,
    llama_rms_norm,
    qwen3_next_gated_norm,
]


def clear(y, exact, terms, after):
    """The elements of y that follow from the exact norm and from every value as close to it as a norm in f32 is."""
    low, high = (after((exact + sign * SLACK * terms).float()) == y for sign in (-1, 1))
    both = (low & high).reshape(-1, *y.shape)
    return both.all(0)


def described(tensor):
    bits = tensor.contiguous().view(torch.int32 if tensor.dtype == torch.float32 else torch.int16)
    digits = 2 * tensor.element_size()
    mask = 16**digits - 1
    text = "".join(f"{value & mask:0{digits}x}" for value in bits.flatten().tolist())
    return {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "bits": text}


def made(case, dtype):
    draw = Draw(1, dtype)
    op, settings, results, (exact, terms), after = case(draw)
    offset = settings.pop("weight_offset", 0.0)
    compared = clear(results["y"], exact, terms, after).flatten().tolist()
    return {
        "name": f"{case.__name__} in {NAMES[dtype]}",
        "op": op,
        "settings": settings,
        "eps": EPS,
        "weight_offset": offset,
        "inputs": {name: described(tensor) for name, tensor in draw.tensors.items()},
        "results": {name: described(tensor) for name, tensor in results.items()},
        "unclear": [index for index, is_clear in enumerate(compared) if not is_clear],
    }


def main():
    cases = [made(case, dtype) for case in CASES for dtype in (torch.bfloat16, torch.float16)]
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        json.dump(cases, out, indent=1)
        out.write("\n")
    print(f"{len(cases)} cases of torch {torch.__version__}")


if __name__ == "__main__":
    main()
