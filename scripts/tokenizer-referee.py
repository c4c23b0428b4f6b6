"""Referee for scripts/tokenizer-referee.ts: encodes and trains with the Python `tokenizers` package.

Reads one JSON object from standard input: {"corpus": [...], "vocabSize": n, "special": [...], "cases": [{"name",
"path", "texts"}], "assigned": "..."}. Writes {"version", "merges", "cases": [{"name", "ids", "decoded"}]}.
"""
import json
import sys
import unicodedata

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

job = json.load(sys.stdin)
trained = Tokenizer(models.BPE())
trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
trained.train_from_iterator(
    job["corpus"],
    trainers.BpeTrainer(
        vocab_size=job["vocabSize"],
        min_frequency=2,
        special_tokens=job["special"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    ),
)
merges = json.loads(trained.to_str())["model"]["merges"]

# Characters that only the caller's Unicode version knows are classed differently by design: not compared.
newer = {char for char in job["assigned"] if unicodedata.category(char) == "Cn"}
cases = []
for case in job["cases"]:
    tokenizer = Tokenizer.from_file(case["path"])
    ids = []
    decoded = []
    for text in case["texts"]:
        if not newer.isdisjoint(text):
            ids.append(None)
            decoded.append(None)
            continue
        ids.append(tokenizer.encode(text).ids)
        decoded.append(tokenizer.decode(ids[-1], skip_special_tokens=False))
    cases.append({"name": case["name"], "ids": ids, "decoded": decoded})
json.dump({"version": tokenizers.__version__, "merges": merges, "cases": cases}, sys.stdout)
