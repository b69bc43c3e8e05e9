//! The words that are common to all worlds, by category. No word is in two categories.

pub(super) const MARKS: [&str; 4] = [".", ",", ":", "+"];

pub(super) const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// `(opening, closing)`.
pub(super) const BRACKETS: [(&str, &str); 3] = [("(", ")"), ("[", "]"), ("{", "}")];

/// Function words, separated by spaces; prepositions are a separate category.
pub(super) const FRAME: &str = "the is are so it they makes count sort say backwards again rhymes \
    lives in likes has friend of works as eats";

pub(super) const PREPOSITIONS: [&str; 4] = ["with", "near", "by", "behind"];

pub(super) const COLORS: [&str; 20] = [
    "red", "blue", "green", "gray", "pink", "white", "black", "brown", "yellow", "orange",
    "purple", "gold", "silver", "teal", "violet", "ivory", "amber", "scarlet", "navy", "olive",
];

pub(super) const JOBS: [&str; 20] = [
    "singer", "weaver", "baker", "smith", "farmer", "sailor", "tailor", "miller", "potter",
    "mason", "hunter", "fisher", "painter", "doctor", "teacher", "barber", "dancer", "porter",
    "writer", "joiner",
];

pub(super) const FOODS: [&str; 20] = [
    "bread", "rice", "soup", "honey", "butter", "cheese", "beans", "figs", "plums", "nuts", "corn",
    "eggs", "apples", "pears", "grapes", "dates", "carrots", "onions", "leeks", "melons",
];

/// `(singular, plural)`.
pub(super) const ANIMALS: [(&str, &str); 16] = [
    ("duck", "ducks"),
    ("owl", "owls"),
    ("goat", "goats"),
    ("pig", "pigs"),
    ("dog", "dogs"),
    ("cow", "cows"),
    ("hen", "hens"),
    ("horse", "horses"),
    ("lamb", "lambs"),
    ("frog", "frogs"),
    ("crab", "crabs"),
    ("bear", "bears"),
    ("seal", "seals"),
    ("swan", "swans"),
    ("toad", "toads"),
    ("mole", "moles"),
];

pub(super) const ADJECTIVES: [&str; 10] =
    ["calm", "tired", "happy", "hungry", "old", "young", "small", "big", "shy", "loud"];

/// `(third person singular, plural)`.
pub(super) const VERBS: [(&str, &str); 6] = [
    ("rests", "rest"),
    ("sleeps", "sleep"),
    ("plays", "play"),
    ("sings", "sing"),
    ("waits", "wait"),
    ("stays", "stay"),
];

/// Syllables to copy or reverse.
pub(super) const SYLLABLES: [&str; 16] = [
    "ka", "lo", "mi", "tu", "re", "sa", "ni", "fa", "du", "pe", "zo", "li", "mo", "ra", "ti", "bu",
];

/// Words of the same set rhyme.
pub(super) const RHYMES: [[&str; 5]; 12] = [
    ["bell", "shell", "well", "cell", "spell"],
    ["hat", "mat", "bat", "cat", "rat"],
    ["king", "ring", "wing", "spring", "string"],
    ["lake", "cake", "rake", "flake", "stake"],
    ["light", "night", "knight", "fight", "flight"],
    ["rock", "clock", "sock", "lock", "block"],
    ["rain", "train", "chain", "brain", "grain"],
    ["rose", "nose", "hose", "pose", "prose"],
    ["hand", "sand", "band", "land", "strand"],
    ["book", "hook", "brook", "nook", "crook"],
    ["ship", "chip", "lip", "whip", "tip"],
    ["star", "car", "jar", "bar", "scar"],
];
