/** @file Samples during training: loaded by the training thread, as a function cannot be sent to it. */
import { createDecoderSession } from '../generation/decoder-session.ts';
import { generateBatch } from '../generation/generate.ts';
import type { PreparedRun } from '../training/prepare-run.ts';
import type { Sampler } from '../training/trainer.ts';

/** What `samplerModule` of a training run exports. */
export async function createSampler({ model, tokenizer, config }: PreparedRun): Promise<Sampler> {
	const { device, threads, seed } = config.training;
	return async (values, { prompts, maxTokens, temperature }, step) => {
		const session = await createDecoderSession(model, values, { device, ...(threads !== undefined && { threads }) });
		try {
			const texts = await generateBatch({
				session,
				tokenizer,
				prompts,
				maxTokens,
				sampling: { temperature },
				seed: seed + step,
				overflow: 'stop',
			});
			return texts.map(([sample], index) => ({ prompt: prompts[index] as string, text: sample?.text ?? '' }));
		} finally {
			await session.dispose();
		}
	};
}
