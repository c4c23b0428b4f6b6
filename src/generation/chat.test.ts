import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FormatError, InputError, InterruptedError } from '../base/errors.ts';
import { Chat } from './chat.ts';
import { ChatTemplate } from './chat-template.ts';
import type { DecoderSession } from './decoder-session.ts';
import { byteTokenizer, END } from './testing/byte-tokenizer.ts';
import { scriptedSession } from './testing/scripted-session.ts';

const CHATML =
	"{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";
const template = new ChatTemplate({ template: CHATML });

/** A model that answers with the number of tokens of its prompt, and the prompts it was given. */
function counting(maxLength?: number): { session: DecoderSession; prompts: string[] } {
	const prompts: string[] = [];
	let promptLength = 0;
	const scripted = scriptedSession(
		257,
		(text) => {
			const logits = new Float32Array(257);
			logits[`${promptLength}`.charCodeAt(text.length - promptLength) || END] = 50;
			return logits;
		},
		maxLength,
	);
	const session: DecoderSession = {
		...scripted,
		extend: (id, tokens, options) => {
			if (scripted.texts.get(id)?.[0]?.length === 0) {
				promptLength = tokens[0]!.length;
				prompts.push(byteTokenizer.decode(tokens[0]!));
			}
			return scripted.extend(id, tokens, options);
		},
	};
	return { session, prompts };
}

async function say(chat: Chat, content: string): Promise<string> {
	let text = '';
	for await (const event of chat.send(content)) text += event.text;
	return text;
}

test('turns are rendered by the template, answers become part of the history', async () => {
	const { session, prompts } = counting();
	const chat = new Chat({ session, tokenizer: byteTokenizer, template, system: 'be brief' });
	const first = '<|system|>be brief\n<|user|>hi\n<|assistant|>';
	assert.equal(await say(chat, 'hi'), `${first.length}`);
	await say(chat, 'again');
	assert.deepEqual(prompts, [first, `${first}${first.length}\n<|user|>again\n<|assistant|>`]);
	assert.deepEqual(
		chat.messages.map(({ role }) => role),
		['user', 'assistant', 'user', 'assistant'],
	);
	chat.clear();
	assert.deepEqual(chat.messages, []);
});

test('old turns are forgotten when the context is full, the system message is not', async () => {
	const { session, prompts } = counting(80);
	const chat = new Chat({ session, tokenizer: byteTokenizer, template, system: 'S', maxTokens: 10 });
	for (const word of ['alpha', 'beta', 'gamma', 'delta']) await say(chat, word);
	const last = prompts.at(-1)!;
	assert.ok(last.startsWith('<|system|>S\n<|user|>gamma\n') && last.includes('delta') && last.length <= 70, last);
	await assert.rejects(say(chat, 'x'.repeat(80)), InputError);
	assert.equal(chat.messages.length, 8, 'the refused message is taken back');
	await say(chat, 'omega');
});

test('a base model continues the whole text', async () => {
	const { session, prompts } = counting();
	const chat = new Chat({ session, tokenizer: byteTokenizer });
	await say(chat, 'Once');
	await say(chat, ' upon');
	assert.deepEqual(prompts, ['Once', 'Once4 upon']);
	assert.throws(() => new Chat({ session, tokenizer: byteTokenizer, system: 'x' }), InputError);
});

test('an aborted answer stays in the history as far as it came; a second one at the same time is refused', async () => {
	const { session } = counting();
	const chat = new Chat({ session, tokenizer: byteTokenizer, template });
	const controller = new AbortController();
	const stream = chat.send('hello', { signal: controller.signal });
	const { value } = await stream.next();
	await assert.rejects(say(chat, 'x'), /under way|still being given/);
	controller.abort();
	await assert.rejects(stream.next(), InterruptedError);
	assert.equal(chat.messages.at(-1)?.content, value?.text);
	await say(chat, 'go on');
});

test('templates in tokenizer_config.json: text, named ones, tokens as text or objects', () => {
	const render = (config: unknown) =>
		ChatTemplate.fromTokenizerConfig(config)?.render([{ role: 'user', content: 'hi' }]);
	const text = '{{ bos_token }}{{ messages[0].content }}{{ eos_token }}';
	assert.equal(render({ chat_template: text, bos_token: '<s>', eos_token: { content: '</s>' } }), '<s>hi</s>');
	const named = [
		{ name: 'tool_use', template: 'x' },
		{ name: 'default', template: text },
	];
	assert.equal(render({ chat_template: named }), 'hi');
	for (const none of [{}, null, 3, { chat_template: 7 }, { chat_template: [] }]) assert.equal(render(none), undefined);
});

test('hostile and broken templates fail in bounded time with an error that says why', () => {
	const run = (source: string) => new ChatTemplate({ template: source }).render([{ role: 'user', content: 'hi' }]);
	const nested = '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}';
	for (const source of [
		'{% for x in %}',
		"{{ raise_exception('no system role') }}",
		"{{ 'a' | nofilter }}",
		'{% for a in range(10000000000) %}{% endfor %}',
		'x'.repeat(200_001),
		nested,
	]) {
		assert.throws(() => run(source), FormatError, source.slice(0, 60));
	}
	assert.throws(() => run("{{ raise_exception('no system role') }}"), /no system role/);
	fc.assert(
		fc.property(
			fc.array(
				fc.constantFrom(
					'{%',
					'%}',
					'{{',
					'}}',
					' for ',
					' x ',
					' in ',
					'messages',
					'if',
					'endif',
					'endfor',
					'|',
					'[0]',
					"'",
				),
				{ maxLength: 12 },
			),
			(parts) => {
				try {
					run(parts.join(' '));
				} catch (error) {
					assert.ok(error instanceof FormatError, String(error));
				}
			},
		),
	);
});
