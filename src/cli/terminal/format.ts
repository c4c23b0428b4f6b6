/** @file Numbers and durations as people read them. */

/** 95 -> "1:35", 4000 -> "1:06:40". Seconds, rounded. */
export function formatDuration(seconds: number): string {
	if (!Number.isFinite(seconds) || seconds < 0) return '-';
	const whole = Math.round(seconds);
	const pad = (value: number) => String(value).padStart(2, '0');
	const hours = Math.floor(whole / 3600);
	const minutes = Math.floor((whole % 3600) / 60);
	return hours > 0 ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

const STEPS: readonly (readonly [number, string])[] = [
	[1e12, 'T'],
	[1e9, 'G'],
	[1e6, 'M'],
	[1e3, 'k'],
];

/** 1234567 -> "1.23M", 950 -> "950", 0.51234 -> "0.512": three significant digits. */
export function formatCount(value: number): string {
	if (!Number.isFinite(value)) return String(value);
	const size = Math.abs(value);
	for (const [factor, suffix] of STEPS) {
		// 999,950 would round to "1000k"
		if (size >= factor * 0.9995) return `${trimmed(value / factor)}${suffix}`;
	}
	return trimmed(value);
}

function trimmed(value: number): string {
	if (Number.isInteger(value)) return String(value);
	const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 0.9995 ? 2 : 3;
	return value.toFixed(digits);
}

/** 1536 -> "1.5 KiB". */
export function formatBytes(bytes: number): string {
	const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
	let value = bytes;
	let unit = 0;
	while (Math.abs(value) >= 1024 && unit < units.length - 1) {
		value /= 1024;
		unit++;
	}
	return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** A loss or another small measured number: fixed decimals so that columns do not jump. */
export function formatLoss(value: number): string {
	return Number.isFinite(value) ? value.toFixed(3) : String(value);
}
