//! Saying things on standard output, to whoever still listens.
//!
//! `soloist runs | head` closes the pipe while there is more to say. The macros of the standard library end the process with a
//! panic then; a command that is at work has to finish it.

use std::{fmt, io::Write};

/// Says a line, as `println!` does.
macro_rules! say {
    () => { $crate::say::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::say::out(format_args!("{}\n", format_args!($($text)*))) };
}

/// Says a part of a line, as `print!` does.
macro_rules! say_part {
    ($($text:tt)*) => { $crate::say::out(format_args!($($text)*)) };
}

pub(crate) fn out(text: fmt::Arguments<'_>) {
    // Nobody is there to be told that nobody listens.
    let _ = std::io::stdout().lock().write_fmt(text);
}
