//! How much of a family fits in this browser's memory, computed before anything is fetched.

use boomerang_engine::notice::Notice;

use crate::family::FamilyCard;
use crate::format;
use crate::js::property;

/// The memory that the model's program may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// For weights in the program's own memory; `None` where they are on the GPU, whose memory is unknown.
    bytes: Option<u64>,
}

/// A program in WebAssembly has 32-bit addresses; the rest is for keys and values and for a file being
/// loaded.
const ADDRESSABLE: u64 = (4 << 30) - (384 << 20);
/// Weight files are parsed with 32-bit counts of bits.
const MOST_STORED: u64 = u32::MAX as u64 / 8;
/// One array may take half of the address space.
const MOST_NUMBERS: u64 = i32::MAX as u64;

impl Budget {
    /// On a GPU.
    pub const GPU: Self = Self { bytes: None };

    /// On the CPU, as the browser reports the machine's memory; else the whole address space.
    pub fn of_cpu() -> Self {
        let navigator = property(&js_sys::global(), "navigator");
        let of_navigator = |name| navigator.as_ref().and_then(|it| property(it, name));
        let gib = of_navigator("deviceMemory").and_then(|value| value.as_f64());
        let browser = of_navigator("userAgent").and_then(|value| value.as_string());
        Self::of_machine(gib.or_else(|| usual_gib(&browser.unwrap_or_default())))
    }

    /// `gib` is the memory of the machine; browsers report 8 for more.
    fn of_machine(gib: Option<f64>) -> Self {
        // The rest is for the system and the browser; phones terminate pages that take more.
        let half = gib.filter(|&gib| gib < 8.0).map(|gib| (gib * f64::from(1 << 29)) as u64);
        Self { bytes: Some(half.unwrap_or(ADDRESSABLE).min(ADDRESSABLE)) }
    }

    /// How many sizes of the path fit together, smallest first.
    pub fn n_sizes(self, family: &FamilyCard) -> usize {
        let n_all = family.path().len();
        if self.matrix_refusal(family).is_some() {
            return 0;
        }
        let Some(budget) = self.bytes else { return n_all };
        family.bytes_of_each().into_iter().take_while(|&bytes| bytes <= budget).count()
    }

    /// Why not even the smallest size fits.
    pub fn refusal(self, family: &FamilyCard) -> Option<Notice> {
        if self.n_sizes(family) > 0 {
            return None;
        }
        let why = self.matrix_refusal(family).unwrap_or_else(|| {
            format!(
                "its smallest size takes {} of memory, and {} are available in this browser",
                format::bytes(family.bytes_in_memory(1)),
                format::bytes(self.bytes.unwrap_or(0)),
            )
        });
        let next = "Use a machine with more memory, or boomerang on the command line.";
        Some(Notice::new("This family does not fit in memory.", why, next))
    }

    /// Which sizes fit, when not all do.
    pub fn in_words(self, family: &FamilyCard) -> Option<String> {
        let (n_sizes, n_all) = (self.n_sizes(family), family.path().len());
        let size = family.measured_path().get(n_sizes.checked_sub(1)?)?;
        (n_sizes < n_all).then(|| {
            let largest = family.size(size);
            let sizes = format::count(n_all, "size");
            let fitting = match n_sizes {
                1 => format!("Only the smallest of {sizes} fits in memory"),
                n => format!("The {n} smallest of {sizes} fit in memory"),
            };
            format!(
                "{fitting}, up to {} with {} parameters: all together take {} of memory, and {} are \
                 available in this browser.",
                format::count(largest.n_layers, "layer"),
                format::params(largest.n_params),
                format::bytes(family.bytes_in_memory(n_all)),
                format::bytes(self.bytes.unwrap_or(0)),
            )
        })
    }

    fn matrix_refusal(self, family: &FamilyCard) -> Option<String> {
        let (numbers, stored) = (family.largest_tensor_bytes(), family.largest_stored_bytes());
        (numbers > MOST_NUMBERS || stored > MOST_STORED).then(|| {
            format!(
                "its largest matrix has {} in its file and {} as 32-bit numbers; browsers support at \
                 most {} and {}",
                format::bytes(stored),
                format::bytes(numbers),
                format::bytes(MOST_STORED),
                format::bytes(MOST_NUMBERS),
            )
        })
    }
}

/// Of machines whose browser does not report it, as over plain http: phones mostly have 4 to 8.
fn usual_gib(browser: &str) -> Option<f64> {
    browser.contains("Mobi").then_some(4.0)
}

#[cfg(test)]
mod tests {
    use boomerang_core::checkpoint::Precision;

    use super::*;
    use crate::testing::{card, family};

    #[test]
    fn sizes_fit_up_to_the_budget() {
        let card = card(&family(true), Precision::F32);
        let needs: Vec<u64> = (0..=3).map(|n| card.bytes_in_memory(n)).collect();
        assert!(needs.is_sorted() && needs[0] == 0);
        for (n, &need) in needs.iter().enumerate().skip(1) {
            assert_eq!(Budget { bytes: Some(need) }.n_sizes(&card), n);
            assert_eq!(Budget { bytes: Some(need - 1) }.n_sizes(&card), n - 1);
        }
        assert_eq!(Budget { bytes: None }.n_sizes(&card), 3);
    }

    #[test]
    fn matrices_in_8_bits_take_no_more_than_their_files() {
        let mut manifest = card(&family(true), Precision::F32).manifest().clone();
        let files = [&mut manifest.student, &mut manifest.teacher]
            .into_iter()
            .flat_map(|it| [&mut it.ends].into_iter().chain(&mut it.layers));
        files.for_each(|file| file.bytes /= 4);
        let packed = FamilyCard::from_json(&serde_json::to_string(&manifest).unwrap()).unwrap();
        let wide = card(&family(true), Precision::F32);
        assert!(packed.bytes_in_memory(3) < wide.bytes_in_memory(3) / 2);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers() {
        let card = card(&family(true), Precision::F32);
        let tight = Budget { bytes: Some(1000) };
        assert!(tight.refusal(&card).unwrap().why.contains(&format::bytes(1000)));
        let some = Budget { bytes: Some(card.bytes_in_memory(2)) };
        assert_eq!(some.refusal(&card), None);
        assert!(
            some.in_words(&card).unwrap().starts_with("The 2 smallest of 3 sizes fit in memory")
        );
        assert_eq!(Budget { bytes: None }.in_words(&card), None);
    }

    #[test]
    fn a_phone_that_does_not_report_its_memory_has_little() {
        let phone = "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 Chrome/148.0 Mobile Safari/537.36";
        assert_eq!(Budget::of_machine(usual_gib(phone)).bytes, Some(2 << 30));
        assert_eq!(usual_gib("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"), None);
    }

    #[test]
    fn a_small_machine_provides_half_of_its_memory() {
        let bytes = |gib| Budget::of_machine(gib).bytes.unwrap();
        assert_eq!(bytes(Some(2.0)), 1 << 30);
        assert_eq!(bytes(Some(8.0)), ADDRESSABLE);
        assert_eq!(bytes(None), ADDRESSABLE);
    }
}
