//! Makes malformed files out of good ones, always the same ones from the same seed.

/// A stream of numbers that looks like chance: SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).expect("it is below a usize")
    }

    fn of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len())]
    }
}

/// Values that readers trip over.
const AWKWARD: [&str; 16] = [
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999999",
    "1e308",
    "nan",
    "-inf",
    "\"\"",
    "\"\u{0}\"",
    "\"{{ {{ }}\"",
    "\"{% for x in range(99999) %}{{ x }}{% endfor %}\"",
    "\"((((((((((\"",
    "\"18446744073709551615w\"",
    "[]",
    "{}",
    "1979-05-27T07:32:00Z",
    "\"\"\"",
];

/// `good` with one to four things changed: bytes flipped, lines deleted, doubled and swapped, values replaced by others of
/// the file or by awkward ones, and nesting without end.
pub(crate) fn mutate(good: &str, seed: u64) -> String {
    let mut chance = Chance(seed);
    let mut text = good.to_owned();
    for _ in 0..=chance.below(4) {
        text = match chance.below(8) {
            0 => flip(&text, &mut chance),
            1 => cut(&text, &mut chance),
            2..5 => lines(&text, &mut chance),
            5 => replace(&text, &mut chance, None),
            6 => {
                let value = chance.of(&AWKWARD);
                replace(&text, &mut chance, Some(value))
            }
            _ => {
                let value = nested(&mut chance);
                replace(&text, &mut chance, Some(&value))
            }
        };
    }
    text
}

fn flip(text: &str, chance: &mut Chance) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = chance.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << chance.below(8);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn cut(text: &str, chance: &mut Chance) -> String {
    let chars: Vec<char> = text.chars().collect();
    let start = chance.below(chars.len());
    let end = (start + chance.below(20)).min(chars.len());
    chars[..start].iter().chain(&chars[end..]).collect()
}

fn lines(text: &str, chance: &mut Chance) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return String::new();
    }
    let (one, other) = (chance.below(lines.len()), chance.below(lines.len()));
    match chance.below(3) {
        0 => drop(lines.remove(one)),
        1 => lines.insert(other, lines[one]),
        _ => lines.swap(one, other),
    }
    lines.join("\n")
}

/// Puts `value`, or another value of the file, in the place of one of its values.
fn replace(text: &str, chance: &mut Chance, value: Option<&str>) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let valued: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].contains(" = ")).collect();
    let pick = |chance: &mut Chance| valued.get(chance.below(valued.len())).copied();
    let (Some(one), Some(other)) = (pick(chance), pick(chance)) else { return text.to_owned() };
    let parts =
        |line: &str| line.split_once(" = ").map(|(key, value)| (key.to_owned(), value.to_owned()));
    if let (Some((key, _)), Some((_, own))) = (parts(&lines[one]), parts(&lines[other])) {
        lines[one] = format!("{key} = {}", value.unwrap_or(&own));
    }
    lines.join("\n")
}

fn nested(chance: &mut Chance) -> String {
    let depth = 1 << chance.below(15);
    match chance.below(6) {
        0 => format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
        1 => format!("{}1{}", "{ a = ".repeat(depth), " }".repeat(depth)),
        2 => format!("{{ {}b = 1 }}", "a.".repeat(depth)),
        3 => format!("\"{}1{}\"", "(".repeat(depth), ")".repeat(depth)),
        4 => format!("\"{}input\"", "not ".repeat(depth)),
        _ => format!("\"input{}\"", ".a".repeat(depth)),
    }
}
