"""The benchmark's GPT in PyTorch on the CPU: eager with fused kernels, or the same under torch.compile.

q, k and v are one linear, as in every fast PyTorch GPT: the three matrices of the weights file are stacked. AdamW works
element by element and the clipping norm is over all elements, so the training is the same.
"""

import torch
import torch.nn.functional as F
from torch import nn

from peer_protocol import arguments, peak_rss_bytes, read_inputs, timed_steps, write_json


class Block(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        dim, ffn, eps = config["dim"], config["ffn"], config["layerNormEps"]
        self.heads = config["heads"]
        self.self_attn_layer_norm = nn.LayerNorm(dim, eps=eps)
        self.qkv_proj = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)
        self.final_layer_norm = nn.LayerNorm(dim, eps=eps)
        self.fc1 = nn.Linear(dim, ffn)
        self.fc2 = nn.Linear(ffn, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time, dim = x.shape
        qkv = self.qkv_proj(self.self_attn_layer_norm(x))
        q, k, v = qkv.view(batch, time, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out_proj(mixed.transpose(1, 2).reshape(batch, time, dim))
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class GPT(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab"], config["dim"])
        self.embed_positions = nn.Embedding(config["seq"], config["dim"])
        self.layers = nn.ModuleList(Block(config) for _ in range(config["layers"]))
        self.layer_norm = nn.LayerNorm(config["dim"], eps=config["layerNormEps"])
        self.output_projection = nn.Linear(config["dim"], config["vocab"], bias=False)

    def forward(self, tokens: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        x = self.embed_tokens(tokens) + self.embed_positions.weight
        for layer in self.layers:
            x = layer(x)
        logits = self.output_projection(self.layer_norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), labels.view(-1))


def packed(weights: dict, layers: int) -> dict[str, torch.Tensor]:
    """The weights file under the names of `GPT`."""
    state = {}
    for name, value in weights.items():
        if not name.endswith(tuple(f"{part}_proj.{kind}" for part in "qkv" for kind in ("weight", "bias"))):
            state[name.replace(".self_attn.", ".").replace(".ffn.", ".")] = torch.from_numpy(value)
    for layer in range(layers):
        for kind in ("weight", "bias"):
            parts = [torch.from_numpy(weights[f"layers.{layer}.self_attn.{part}_proj.{kind}"]) for part in "qkv"]
            state[f"layers.{layer}.qkv_proj.{kind}"] = torch.cat(parts)
    return state


def main() -> None:
    args = arguments(__doc__, mode=["eager", "compile"])
    torch.set_num_threads(args.threads)
    torch.set_num_interop_threads(1)
    inputs = read_inputs(args)
    config = inputs.config
    model = GPT(config)
    model.load_state_dict(packed(inputs.weights, config["layers"]))
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(
        parameters,
        lr=config["lr"],
        betas=tuple(config["betas"]),
        eps=config["adamEps"],
        weight_decay=config["weightDecay"],
        fused=True,
    )
    tokens = torch.from_numpy(inputs.tokens).long()
    labels = torch.from_numpy(inputs.labels).long()
    loss_of = torch.compile(model) if args.mode == "compile" else model

    def step(index: int) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(tokens[index], labels[index])
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, config["clipNorm"], foreach=True)
        optimizer.step()
        return loss.item()

    losses, millis = timed_steps(args.steps, step)
    write_json(
        args.out,
        {
            "name": "pytorch" if args.mode == "eager" else "pytorch-compile",
            "version": f"torch {torch.__version__}",
            "losses": losses,
            "stepMillis": millis,
            "peakRssBytes": peak_rss_bytes(),
            "notes": [
                f"{args.mode}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}",
                "q, k, v stacked into one linear; scaled_dot_product_attention, cross_entropy, AdamW(fused=True)",
            ],
        },
    )


if __name__ == "__main__":
    main()
