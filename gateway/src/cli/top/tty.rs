//! A terminal that is ours for a while, and is given back as it was.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// A screen beside the one that is there, and no cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
/// Back to the one that was there.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";
/// What a terminal has that does not tell.
const SIZE: [usize; 2] = [80, 24];

/// The terminal, given back when this is dropped, and before a panic is told.
pub struct Tty(Arc<Kept>);

/// What it was like.
struct Kept {
    before: Termios,
    is_given_back: AtomicBool,
}

impl Tty {
    /// Takes it: keys come one by one, are not shown, and none of them ends or stops the process.
    pub fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut ours = before.clone();
        ours.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN);
        let tty = Self(Arc::new(Kept {
            before,
            is_given_back: AtomicBool::new(false),
        }));
        tcsetattr(io::stdin(), OptionalActions::Flush, &ours)?;
        let kept = Arc::clone(&tty.0);
        let told = std::panic::take_hook();
        // Else what it says would go with the screen it is said on.
        std::panic::set_hook(Box::new(move |panic| {
            kept.give_back();
            told(panic);
        }));
        let mut out = io::stdout().lock();
        out.write_all(ENTER)?;
        out.flush()?;
        Ok(tty)
    }

    /// Columns and rows.
    pub fn size(&self) -> [usize; 2] {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => [size.ws_col.into(), size.ws_row.into()],
            _ => SIZE,
        }
    }

    /// Writes the lines over those that were there, in one go so that nothing flickers.
    pub fn show(&self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (i, line) in lines.iter().enumerate() {
            if i > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Kept {
    fn give_back(&self) {
        if self.is_given_back.swap(true, Ordering::SeqCst) {
            return;
        }
        // A terminal that is gone needs nothing.
        let mut out = io::stdout().lock();
        let _ = out.write_all(LEAVE).and_then(|()| out.flush());
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.0.give_back();
    }
}
