//! Policies that went wrong in an editor: each is read or refused with its problems, and none brings the kernel down.

use soloist_kernel::policy::Policy;

/// Good policies, to begin with.
const GOOD: [&str; 2] =
    [include_str!("../../docs/policy.md"), include_str!("../../host/company/policy.toml")];

/// How many malformed policies are tried.
const MUTATIONS: u64 = 10_000;

/// What people and programs put where it does not belong.
const PIECES: [&str; 24] = [
    "[[rule]]\n",
    "[[example]]\n",
    "[lists]\n",
    "[builtin]\n",
    "name = ",
    "when = \"",
    "\"",
    "'''",
    "{",
    "}",
    "[",
    "]",
    "=",
    "\n",
    "#",
    "-1",
    "99999999999999999999",
    "nan",
    "1979-05-27",
    "\u{0}",
    "ü\u{202e}",
    "routing.to.",
    "{% for %}",
    "|map(",
];

/// Characters that mean something to TOML or to an expression, or nothing to anybody.
const ODD: [char; 16] = [
    '"',
    '\'',
    '\\',
    '{',
    '}',
    '[',
    ']',
    '=',
    '.',
    '#',
    '|',
    '0',
    '\n',
    '\u{7f}',
    'é',
    '\u{10ffff}',
];

/// Small, seeded, and the same everywhere: xorshift64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (end.max(1) as u64)).expect("it is below a usize")
    }
}

/// The policies in `text`: its TOML blocks, or the whole.
fn policies(text: &str) -> Vec<&str> {
    let blocks: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    if blocks.is_empty() { vec![text] } else { blocks }
}

/// `text` with one to four changes, each at a place that the dice choose.
fn mutated(text: &str, dice: &mut Dice) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for _ in 0..=dice.below(4) {
        let at = dice.below(chars.len());
        let end = (at + dice.below(40)).min(chars.len());
        match dice.below(5) {
            0 => drop(chars.drain(at..end)),
            1 => {
                let again: Vec<char> = chars[at..end].to_vec();
                let place = dice.below(chars.len());
                chars.splice(place..place, again);
            }
            2 => {
                let piece = PIECES[dice.below(PIECES.len())];
                chars.splice(at..at, piece.chars());
            }
            3 => {
                if let Some(char) = chars.get_mut(at) {
                    *char = ODD[dice.below(ODD.len())];
                }
            }
            _ => chars.truncate(end.max(chars.len() / 2)),
        }
    }
    chars.into_iter().collect()
}

#[test]
fn ten_thousand_malformed_policies_give_problems_and_never_a_panic() {
    let good: Vec<&str> = GOOD.iter().flat_map(|text| policies(text)).collect();
    assert!(good.len() > 3, "there are policies to begin with");
    let (mut refused, mut unclear) = (0, vec![]);
    for seed in 1..=MUTATIONS {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let source = mutated(good[dice.below(good.len())], &mut dice);
        match Policy::parse("policy.toml", &source) {
            // What can still be read must also judge.
            Ok(policy) => drop(policy.test()),
            Err(problems) => {
                refused += 1;
                let clear = problems.iter().all(|problem| {
                    problem.to_string().starts_with("policy.toml") && !problem.message.is_empty()
                });
                if problems.is_empty() || !clear {
                    unclear.push(seed);
                }
            }
        }
    }
    assert!(unclear.is_empty(), "seeds with problems that say nothing: {unclear:?}");
    assert!(refused > MUTATIONS / 2, "most of them are malformed: {refused}");
}
