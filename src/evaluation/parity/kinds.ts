/** @file Registers every kind of golden case. A new kind adds its line here. */
import './norm.ts';
import './rotary.ts';
import './relative-bias.ts';
import './glu.ts';
import './attention.ts';
import './text-model.ts';
import './encoder-decoder.ts';
import './train-step.ts';
