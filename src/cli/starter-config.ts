/** @file The commented configuration that `init` writes and `quickstart` trains. */

/** Text of a starter configuration. `schema` is where the editor finds the JSON Schema. */
export function starterConfig(schema: string): string {
	return `# yaml-language-server: $schema=${schema}
#
# A small GPT that learns to write from one book, in a few minutes on two CPU cores.
# Every key, its default and its meaning: docs/configuration.md, or: modelsmith schema
# Train it with:  modelsmith train THIS_FILE

model:
  architecture: decoder
  dim: 192 # width; more is stronger and slower
  layers: 4
  heads: 4
  maxLength: 256 # longest text it can read, in tokens
  position: { kind: rope }
  norm: { kind: rms }
  feedForward: { kind: glu }

tokenizer:
  kind: bpe # byte-level BPE, trained on the data below
  vocabSize: 2048

data:
  source:
    kind: moby-dick # the novel that comes with modelsmith. Your own text instead:
    # kind: text
    # path: ["corpus/**/*.txt"]
  sequenceLength: 128

training:
  steps: 320
  batchSize: 16 # rows of 128 tokens at once
  # Muon for the matrices inside the layers, AdamW for the rest; { kind: adamw, learningRate: 0.002 } is the classic
  optimizer: { kind: muon, learningRate: 0.02, adamw: { learningRate: 0.004 } }
  schedule: { kind: cosine, warmup: 30 }
  validation: { every: 80 }
  checkpoints: { every: 80 }
  sampling:
    every: 80
    prompts: ["The whale"]
  seed: 1
`;
}
