/** @file A conversation with a model: with a chat template in turns, without one the model continues the text. */
import { InputError } from '../base/errors.ts';
import type { ChatMessage, ChatTemplate } from './chat-template.ts';
import { type GeneratedToken, type GenerationSettings, generateStream, promptTokens } from './generate.ts';
import type { TextTokenizer } from './text-tokenizer.ts';

export interface ChatOptions extends Omit<GenerationSettings, 'overflow' | 'tokenizer'> {
	readonly tokenizer: TextTokenizer;
	/** Absent: a base model, whose text so far is continued. */
	readonly template?: ChatTemplate;
	/** First message; kept when older turns are forgotten. Only with a template. */
	readonly system?: string;
}

/** What can be changed for one answer. */
export type TurnOptions = Partial<Pick<GenerationSettings, 'maxTokens' | 'sampling' | 'seed' | 'signal' | 'stop'>>;

/** A conversation. One answer at a time. */
export class Chat {
	private readonly options: ChatOptions;
	private history: ChatMessage[] = [];
	private answering = false;
	private turns = 0;

	constructor(options: ChatOptions) {
		if (options.system !== undefined && options.template === undefined) {
			throw new InputError('a base model has no system message', {
				where: 'system',
				expected: 'a model with a chat template',
				fix: 'put the text at the beginning of the first message',
			});
		}
		this.options = options;
	}

	/** What was said, oldest first; for a base model its text is in messages of role `user` and `assistant` too. */
	get messages(): readonly ChatMessage[] {
		return this.history;
	}

	/** Forgets everything but the system message. */
	clear(): void {
		this.history = [];
		this.turns = 0;
	}

	/**
	 * Says something and streams the answer. What was answered stays in the history also when the stream is left or
	 * aborted; when it fails before the first token, the message is taken back.
	 * @throws InputError when the message alone does not fit the model, or another answer is under way
	 */
	async *send(content: string, turn: TurnOptions = {}): AsyncGenerator<GeneratedToken, void> {
		if (this.answering) throw new InputError('the last answer is still being given', { where: 'send' });
		this.answering = true;
		const before = this.history;
		this.history = [...before, { role: 'user', content }];
		let answer = '';
		let started = false;
		try {
			const { template: _template, system: _system, ...settings } = this.options;
			const maxTokens = turn.maxTokens ?? settings.maxTokens ?? 128;
			// A seed for each turn: the same words said twice need not get the same answer.
			const seed = turn.seed ?? (settings.seed ?? 0) + this.turns++;
			const prompt = this.promptFor(maxTokens);
			for await (const event of generateStream({ ...settings, ...turn, maxTokens, seed, prompt, overflow: 'stop' })) {
				started = true;
				answer += event.text;
				yield event;
			}
			started = true;
		} finally {
			this.answering = false;
			this.history = started ? [...this.history, { role: 'assistant', content: answer }] : before;
		}
	}

	/** Tokens of as much of the conversation as leaves room for the answer. */
	private promptFor(maxTokens: number): number[] {
		const { session, tokenizer, template, system } = this.options;
		// An answer may use up to half of the context before old turns must make room for it.
		const room =
			session.maxLength === undefined
				? Number.POSITIVE_INFINITY
				: session.maxLength - Math.min(maxTokens, Math.floor(session.maxLength / 2));
		if (template === undefined) {
			const text = this.history.map(({ content }) => content).join('');
			const tokens = promptTokens(text, tokenizer);
			return tokens.length <= room ? tokens : tokens.slice(-room);
		}
		const first: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
		for (let from = 0; from < this.history.length; from++) {
			// A conversation begins with the user.
			if (this.history[from]?.role !== 'user') continue;
			const text = template.render([...first, ...this.history.slice(from)]);
			// The template writes the special tokens itself.
			const tokens = tokenizer.encode(text, { addSpecialTokens: false });
			if (tokens.length <= room) return tokens;
		}
		throw new InputError('the message is longer than the model can read', {
			where: 'message',
			expected: `at most ${room} tokens with the template${system === undefined ? '' : ' and the system message'}`,
			fix: 'shorten it, or lower maxTokens',
		});
	}
}
