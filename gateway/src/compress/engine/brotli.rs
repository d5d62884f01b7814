//! br (RFC 7932).

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{
    BrotliEncoderCompressStream, BrotliEncoderCreateInstance, BrotliEncoderHasMoreOutput,
    BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderSetParameter, BrotliEncoderStateStruct,
    BrotliEncoderTakeOutput,
};

use super::super::encoder::Effort;
use super::Broken;

/// From this hint on the library takes a hash table of 4 MiB; it is never told of so much.
const SIZE_HINT_MAX: u64 = (1 << 20) - 1;

/// What an effort means here.
struct Settings {
    quality: u32,
    /// Bytes of the window, as a power of two. From quality 5 on never below 17: the library has no table of
    /// fitting size for that and takes one of 32 MiB.
    window_log: u32,
    /// Input after which a block is ended. The library collects commands and output until then, and of all the memory
    /// it takes that is the part that grows; with 16 KiB the output is 1 to 2 % larger.
    block_bytes: usize,
}

const FAST: Settings = Settings {
    quality: 4,
    window_log: 16,
    block_bytes: 16 * 1024,
};

const BEST: Settings = Settings {
    quality: 5,
    window_log: 20,
    block_bytes: 128 * 1024,
};

/// An encoder for one body.
pub struct Brotli {
    state: Box<BrotliEncoderStateStruct<StandardAlloc>>,
    block_bytes: usize,
    /// Input taken since the last block was ended.
    open_bytes: usize,
}

impl Brotli {
    /// A new one; `expected` spares it what a short body does not need.
    pub fn new(effort: Effort, expected: Option<u64>) -> Self {
        let settings = match effort {
            Effort::Fast => FAST,
            Effort::Best => BEST,
        };
        let mut state = Box::new(BrotliEncoderCreateInstance(StandardAlloc::default()));
        let hint = expected.unwrap_or(SIZE_HINT_MAX).clamp(1, SIZE_HINT_MAX);
        let hint = u32::try_from(hint).expect("it was just made less than 1 MiB");
        for (parameter, value) in [
            (BrotliEncoderParameter::BROTLI_PARAM_QUALITY, settings.quality),
            (BrotliEncoderParameter::BROTLI_PARAM_LGWIN, settings.window_log),
            (BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, hint),
        ] {
            BrotliEncoderSetParameter(&mut state, parameter, value);
        }
        Self {
            state,
            block_bytes: settings.block_bytes,
            open_bytes: 0,
        }
    }

    /// See [`super::Engine::write`].
    pub fn write(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        while !input.is_empty() {
            let (now, later) = input.split_at(input.len().min(self.block_bytes - self.open_bytes));
            self.run(BrotliEncoderOperation::BROTLI_OPERATION_PROCESS, now, out)?;
            self.open_bytes += now.len();
            if self.open_bytes == self.block_bytes {
                self.flush(out)?;
            }
            input = later;
        }
        Ok(())
    }

    /// See [`super::Engine::flush`].
    pub fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        if self.open_bytes > 0 {
            self.run(BrotliEncoderOperation::BROTLI_OPERATION_FLUSH, &[], out)?;
            self.open_bytes = 0;
        }
        Ok(())
    }

    /// See [`super::Engine::finish`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        self.run(BrotliEncoderOperation::BROTLI_OPERATION_FINISH, &[], out)
    }

    fn run(
        &mut self,
        operation: BrotliEncoderOperation,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let (mut left, mut offset) = (input.len(), 0);
        loop {
            // No room is offered: the output is taken from where the library has it, which saves a copy.
            let done = BrotliEncoderCompressStream(
                &mut self.state,
                operation,
                &mut left,
                input,
                &mut offset,
                &mut 0,
                &mut [],
                &mut 0,
                &mut None,
                &mut |_, _, _, _| (),
            );
            if done == 0 {
                return Err(Broken);
            }
            // The slice it returns goes on behind the output; only the count tells its end.
            let mut count = 0;
            let taken = BrotliEncoderTakeOutput(&mut self.state, &mut count);
            out.extend_from_slice(taken.get(..count).ok_or(Broken)?);
            if left == 0 && BrotliEncoderHasMoreOutput(&self.state) == 0 {
                return Ok(());
            }
        }
    }
}
