"""Python side of bench/tokenizer.ts: trains or encodes with the `tokenizers` package, prints one JSON object.

Arguments: train FILE_LIST VOCAB_SIZE | encode FILE_LIST TOKENIZER_JSON REPEATS
"""
import json
import resource
import statistics
import sys
import time

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

mode, listing = sys.argv[1], sys.argv[2]
with open(listing, encoding="utf8") as handle:
    paths = json.load(handle)


def documents():
    for path in paths:
        with open(path, encoding="utf8", errors="replace", newline="") as handle:
            yield handle.read()


result = {"version": tokenizers.__version__}
if mode == "train":
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=int(sys.argv[3]),
        min_frequency=2,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    start = time.perf_counter()
    tokenizer.train_from_iterator(documents(), trainer)
    result["seconds"] = time.perf_counter() - start
    result["merges"] = json.loads(tokenizer.to_str())["model"]["merges"]
else:
    tokenizer = Tokenizer.from_file(sys.argv[3])
    texts = list(documents())
    seconds = []
    for _ in range(int(sys.argv[4]) + 1):
        start = time.perf_counter()
        encodings = tokenizer.encode_batch_fast(texts)
        count = sum(len(encoding) for encoding in encodings)
        seconds.append(time.perf_counter() - start)
    result["seconds"] = statistics.median(seconds[1:])
    result["tokens"] = count
result["peakMegabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
json.dump(result, sys.stdout)
