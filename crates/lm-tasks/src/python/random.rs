//! Python's random numbers, bit for bit, for sampling the same few-shot examples.

/// The Mersenne Twister (MT19937) as `random.Random` seeds and reads it.
#[derive(Clone)]
pub struct Random {
    state: Box<[u32; N]>,
    at: usize,
}

const N: usize = 624;
const M: usize = 397;

impl Random {
    /// `random.Random(seed)`.
    pub fn new(seed: u64) -> Self {
        let mut random = Self::from_word(19_650_218);
        let state = &mut random.state;
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        let key = if high == 0 { vec![low] } else { vec![low, high] };
        let previous = |state: &[u32; N], i: usize| state[i - 1] ^ (state[i - 1] >> 30);
        let mut i = 1;
        for step in 0..N {
            let j = step % key.len();
            state[i] = (state[i] ^ previous(state, i).wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(j as u32);
            i += 1;
            if i == N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        for _ in 1..N {
            state[i] =
                (state[i] ^ previous(state, i).wrapping_mul(1_566_083_941)).wrapping_sub(i as u32);
            i += 1;
            if i == N {
                state[0] = state[N - 1];
                i = 1;
            }
        }
        state[0] = 0x8000_0000;
        random
    }

    fn from_word(word: u32) -> Self {
        let mut state = Box::new([word; N]);
        for i in 1..N {
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = previous.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Self { state, at: N }
    }

    fn word(&mut self) -> u32 {
        if self.at == N {
            for i in 0..N {
                let mixed = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let magic = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + M) % N] ^ (mixed >> 1) ^ magic;
            }
            self.at = 0;
        }
        let mut word = self.state[self.at];
        self.at += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// `random()`: from 0 up to 1, with 53 bits.
    pub fn fraction(&mut self) -> f64 {
        let (high, low) = (self.word() >> 5, self.word() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// A number below `n`, which is at least 1.
    fn below(&mut self, n: usize) -> usize {
        let n_bits = usize::BITS - n.leading_zeros();
        loop {
            let number = self.bits(n_bits);
            if number < n as u64 {
                return number as usize;
            }
        }
    }

    /// `getrandbits`.
    fn bits(&mut self, n_bits: u32) -> u64 {
        let low = self.word();
        if n_bits <= 32 {
            return u64::from(low >> (32 - n_bits));
        }
        u64::from(low) | (u64::from(self.word() >> (64 - n_bits)) << 32)
    }

    /// `sample(range(n), k)`; `None` when `k` is more than `n`.
    pub fn sample(&mut self, n: usize, k: usize) -> Option<Vec<usize>> {
        if k > n {
            return None;
        }
        // Few are sampled by rejection, many from a shrinking list.
        let mut set_size = 21;
        if k > 5 {
            set_size += 4_usize.pow((k as f64 * 3.0).log(4.0).ceil() as u32);
        }
        if n <= set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            let sample = |n_sampled: usize| {
                let index = self.below(n - n_sampled);
                let chosen = pool[index];
                pool[index] = pool[n - n_sampled - 1];
                chosen
            };
            return Some((0..k).map(sample).collect());
        }
        let mut chosen = std::collections::HashSet::new();
        let sample = |_| {
            loop {
                let index = self.below(n);
                if chosen.insert(index) {
                    return index;
                }
            }
        };
        Some((0..k).map(sample).collect())
    }

    /// One of `choices(range(n))`, with replacement.
    pub fn choose(&mut self, n: usize) -> usize {
        (self.fraction() * n as f64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Recorded from Python 3.11.

    #[test]
    fn fractions_are_pythons() {
        let mut random = Random::new(1234);
        let sampled: Vec<f64> = (0..3).map(|_| random.fraction()).collect();
        assert_eq!(sampled, FRACTIONS);
        assert_eq!(Random::new(0).fraction(), FRACTION_OF_0);
        assert_eq!(Random::new(1 << 40).fraction(), FRACTION_OF_2_40);
    }

    #[test]
    fn samples_are_pythons() {
        let mut random = Random::new(1234);
        assert_eq!(random.sample(10, 3).unwrap(), SAMPLE_10_3);
        assert_eq!(random.sample(1000, 5).unwrap(), SAMPLE_1000_5);
        assert_eq!(random.sample(80, 8).unwrap(), SAMPLE_80_8);
        assert_eq!(random.sample(90, 8).unwrap(), SAMPLE_90_8);
        assert_eq!(random.sample(3, 3).unwrap(), SAMPLE_3_3);
        assert!(random.sample(3, 4).is_none());
    }

    #[test]
    fn choices_are_pythons() {
        let mut random = Random::new(7);
        let sampled: Vec<usize> = (0..8).map(|_| random.choose(5)).collect();
        assert_eq!(sampled, CHOICES_7);
    }

    const FRACTIONS: [f64; 3] = [0.9664535356921388, 0.4407325991753527, 0.007491470058587191];
    const FRACTION_OF_0: f64 = 0.8444218515250481;
    const FRACTION_OF_2_40: f64 = 0.1036394562812375;
    const SAMPLE_10_3: [usize; 3] = [7, 1, 0];
    const SAMPLE_1000_5: [usize; 5] = [92, 932, 965, 961, 826];
    const SAMPLE_80_8: [usize; 8] = [74, 4, 10, 12, 45, 30, 2, 3];
    const SAMPLE_90_8: [usize; 8] = [2, 44, 82, 79, 61, 78, 59, 19];
    const SAMPLE_3_3: [usize; 3] = [0, 2, 1];
    const CHOICES_7: [usize; 8] = [1, 0, 3, 0, 2, 1, 0, 2];
}
