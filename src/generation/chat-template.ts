/** @file Chat templates (Jinja, from tokenizer_config.json): messages to the text a chat model was trained on. */
import vm from 'node:vm';
import { Environment, Interpreter, Template } from '@huggingface/jinja';
import { FormatError } from '../base/errors.ts';

export interface ChatMessage {
	/** `system`, `user`, `assistant`, or what else the template knows. */
	readonly role: string;
	readonly content: string;
}

export interface RenderOptions {
	/** End with the opening of an assistant message. Default true. */
	readonly addGenerationPrompt?: boolean;
	/** More variables for the template: tools, documents ... */
	readonly variables?: Readonly<Record<string, unknown>>;
}

/** A template comes with a model from anywhere: what it may cost is bounded. */
const MAX_SOURCE = 200_000;
const MAX_RANGE = 100_000;
const MAX_RESULT = 20_000_000;
const TIMEOUT_MS = 1000;

/** A synchronous loop can only be ended from outside; the engine does so for code it runs as a script. */
const sandbox = vm.createContext({ work: undefined as unknown });
const script = new vm.Script('work()');

/** The part of tokenizer_config.json that templates need. */
export interface TemplateSource {
	readonly template: string;
	readonly bosToken?: string;
	readonly eosToken?: string;
}

/** A parsed chat template. */
export class ChatTemplate {
	private readonly parsed: Template['parsed'];
	private readonly tokens: Readonly<Record<string, string>>;
	private readonly name: string;

	/** @throws FormatError when the template is not valid Jinja */
	constructor({ template, bosToken = '', eosToken = '' }: TemplateSource, name = 'chat_template') {
		this.name = name;
		this.tokens = { bos_token: bosToken, eos_token: eosToken };
		if (template.length > MAX_SOURCE) {
			throw new FormatError('is too long', {
				where: name,
				expected: `at most ${MAX_SOURCE} characters`,
				found: `${template.length}`,
			});
		}
		this.parsed = this.bounded(() => new Template(template), 'is not a valid Jinja template').parsed;
	}

	/**
	 * The template of a parsed tokenizer_config.json; of several named ones the one called `default`.
	 * Undefined when there is none.
	 * @throws FormatError when it is not valid
	 */
	static fromTokenizerConfig(config: unknown, name = 'tokenizer_config.json'): ChatTemplate | undefined {
		if (typeof config !== 'object' || config === null) return undefined;
		const fields = config as Record<string, unknown>;
		const template = pickTemplate(fields.chat_template);
		if (template === undefined) return undefined;
		const [bosToken, eosToken] = ['bos_token', 'eos_token'].map((key) => tokenText(fields[key]));
		return new ChatTemplate(
			{ template, ...(bosToken !== undefined && { bosToken }), ...(eosToken !== undefined && { eosToken }) },
			`${name}: chat_template`,
		);
	}

	/** @throws FormatError when the template fails on these messages, saying why */
	render(messages: readonly ChatMessage[], { addGenerationPrompt = true, variables = {} }: RenderOptions = {}): string {
		const text = this.bounded(() => {
			const environment = new Environment();
			const values = {
				...GLOBALS,
				...this.tokens,
				...variables,
				messages: messages.map(({ role, content }) => ({ role, content })),
				add_generation_prompt: addGenerationPrompt,
			};
			for (const [key, value] of Object.entries(values)) environment.set(key, value);
			return new Interpreter(environment).run(this.parsed).value;
		}, 'the template failed');
		if (typeof text !== 'string' || text.length > MAX_RESULT) {
			throw new FormatError('the template gave no usable text', {
				where: this.name,
				expected: `at most ${MAX_RESULT} characters`,
			});
		}
		return text;
	}

	/** Runs `work` with a time limit. */
	private bounded<T>(work: () => T, what: string): T {
		try {
			sandbox.work = work;
			return script.runInContext(sandbox, { timeout: TIMEOUT_MS }) as T;
		} catch (cause) {
			throw new FormatError(what, { where: this.name, found: (cause as Error).message, cause });
		}
	}
}

/** What transformers gives to templates. */
const GLOBALS = {
	true: true,
	false: false,
	none: null,
	True: true,
	False: false,
	None: null,
	range: boundedRange,
	raise_exception: (message: unknown): never => {
		throw new Error(String(message));
	},
	strftime_now: (format: string): string => strftime(format, new Date()),
};

function boundedRange(start: number, stop?: number, step = 1): number[] {
	const [from, to] = stop === undefined ? [0, start] : [start, stop];
	const count = Math.max(0, Math.ceil((to - from) / step));
	if (!(count <= MAX_RANGE)) throw new Error(`range() of ${count} numbers`);
	return Array.from({ length: count }, (_, i) => from + i * step);
}

/** The directives that chat templates use; others stay as they are. */
function strftime(format: string, date: Date): string {
	const part = (options: Intl.DateTimeFormatOptions): string => date.toLocaleString('en-US', options);
	const parts: Record<string, string> = {
		'%Y': String(date.getFullYear()),
		'%m': part({ month: '2-digit' }),
		'%d': part({ day: '2-digit' }),
		'%B': part({ month: 'long' }),
		'%b': part({ month: 'short' }),
		'%A': part({ weekday: 'long' }),
		'%H': String(date.getHours()).padStart(2, '0'),
		'%M': String(date.getMinutes()).padStart(2, '0'),
		'%S': String(date.getSeconds()).padStart(2, '0'),
	};
	return format.replace(/%[A-Za-z]/g, (directive) => parts[directive] ?? directive);
}

function pickTemplate(value: unknown): string | undefined {
	if (typeof value === 'string') return value;
	if (!Array.isArray(value)) return undefined;
	const named = value.flatMap((item: unknown) => {
		const { name, template } = (item ?? {}) as { name?: unknown; template?: unknown };
		return typeof template === 'string' ? [{ name, template }] : [];
	});
	return (named.find(({ name }) => name === 'default') ?? named[0])?.template;
}

function tokenText(value: unknown): string | undefined {
	if (typeof value === 'string') return value;
	const content = (value as { content?: unknown } | null | undefined)?.content;
	return typeof content === 'string' ? content : undefined;
}
