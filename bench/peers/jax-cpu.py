"""The benchmark's GPT in JAX on the CPU: one jitted step with donated state.

Linear weights are kept as [in, out], the layout of JAX models, and q, k, v are one matrix: the matrices of the weights
file are transposed and stacked when they are loaded. AdamW works element by element and the clipping norm is over all
elements, so the training is the same.
"""

import jax
import jax.numpy as jnp
import jaxlib
import numpy

from peer_protocol import arguments, peak_rss_bytes, read_inputs, timed_steps, write_json


def packed(weights: dict, layers: int) -> dict:
    """The weights file as a tree: `layers` is a list of blocks, linears are {kernel [in, out], bias}."""

    def linear(*names: str) -> dict:
        kernel = numpy.concatenate([weights[f"{name}.weight"].T for name in names], axis=1)
        return {"kernel": kernel, "bias": numpy.concatenate([weights[f"{name}.bias"] for name in names])}

    def norm(name: str) -> dict:
        return {"scale": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]}

    def block(prefix: str) -> dict:
        return {
            "attention_norm": norm(f"{prefix}.self_attn_layer_norm"),
            "qkv": linear(*(f"{prefix}.self_attn.{part}_proj" for part in "qkv")),
            "out": linear(f"{prefix}.self_attn.out_proj"),
            "ffn_norm": norm(f"{prefix}.final_layer_norm"),
            "fc1": linear(f"{prefix}.ffn.fc1"),
            "fc2": linear(f"{prefix}.ffn.fc2"),
        }

    return {
        "tokens": weights["embed_tokens.weight"],
        "positions": weights["embed_positions.weight"],
        "layers": [block(f"layers.{layer}") for layer in range(layers)],
        "norm": norm("layer_norm"),
        "output": weights["output_projection.weight"].T.copy(),
    }


def loss_of(params: dict, tokens: jax.Array, labels: jax.Array, config: dict) -> jax.Array:
    """Mean cross-entropy; tokens and labels are int32 [batch, time]."""
    batch, time = tokens.shape
    heads = config["heads"]

    def norm(x, p):
        mean = x.mean(-1, keepdims=True)
        centred = x - mean
        variance = jnp.square(centred).mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + config["layerNormEps"]) * p["scale"] + p["bias"]

    def linear(x, p):
        return x @ p["kernel"] + p["bias"]

    # [batch * time, dim] throughout, so that every linear is one matrix product
    x = (params["tokens"][tokens] + params["positions"]).reshape(batch * time, -1)
    for p in params["layers"]:
        qkv = linear(norm(x, p["attention_norm"]), p["qkv"]).reshape(batch, time, 3, heads, -1)
        mixed = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], is_causal=True)
        x = x + linear(mixed.reshape(batch * time, -1), p["out"])
        x = x + linear(jax.nn.gelu(linear(norm(x, p["ffn_norm"]), p["fc1"]), approximate=False), p["fc2"])
    logits = norm(x, params["norm"]) @ params["output"]
    picked = jnp.take_along_axis(logits, labels.reshape(-1, 1), axis=-1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=-1) - picked).mean()


def make_step(config: dict):
    lr, (beta1, beta2), eps = config["lr"], config["betas"], config["adamEps"]
    decay = 1 - lr * config["weightDecay"]

    def step(state, tokens, labels):
        params, first, second, count = state
        loss, grads = jax.value_and_grad(loss_of)(params, tokens, labels, config)
        norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grads)))
        clip = jnp.minimum(1.0, config["clipNorm"] / (norm + 1e-6))
        count = count + 1
        scale1 = 1 / (1 - beta1**count)
        scale2 = 1 / (1 - beta2**count)
        first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * (clip * g), first, grads)
        second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * jnp.square(clip * g), second, grads)
        params = jax.tree.map(
            lambda p, m, v: decay * p - lr * (m * scale1) / (jnp.sqrt(v * scale2) + eps), params, first, second
        )
        return (params, first, second, count), loss

    return jax.jit(step, donate_argnums=0)


def main() -> None:
    args = arguments(__doc__)
    inputs = read_inputs(args)
    params = jax.tree.map(jnp.array, packed(inputs.weights, inputs.config["layers"]))
    zeros = lambda: jax.tree.map(jnp.zeros_like, params)  # noqa: E731
    state = (params, zeros(), zeros(), jnp.float32(0))
    step = make_step(inputs.config)

    def run(index: int) -> float:
        nonlocal state
        state, loss = step(state, inputs.tokens[index], inputs.labels[index])
        jax.block_until_ready(state)
        return float(loss)

    losses, millis = timed_steps(args.steps, run)
    write_json(
        args.out,
        {
            "name": "jax",
            "version": f"jax {jax.__version__}, jaxlib {jaxlib.__version__}",
            "losses": losses,
            "stepMillis": millis,
            "peakRssBytes": peak_rss_bytes(),
            "notes": [
                f"jit with donated state, device {jax.devices()[0].device_kind}; the first step holds the compilation",
                "q, k, v stacked into one matrix, weights as [in, out]; AdamW inside the jitted step",
            ],
        },
    )


if __name__ == "__main__":
    main()
