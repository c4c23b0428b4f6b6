/** @file Registers every built-in part. A new part adds its line here. */
import './norm/norm.ts';
import './position/position.ts';
import './position/learned.ts';
import './position/sinusoidal.ts';
import './position/rotary.ts';
import './position/relative-bias.ts';
import './position/combined.ts';
import './mixer/attention.ts';
import './feed-forward/mlp.ts';
import './feed-forward/glu.ts';
import './residual/residual.ts';
import './linear.ts';
import './initialization.ts';
