"""The words of the micro-world. Small, concrete, harmless."""

from __future__ import annotations

OBJECTS = (
    "tin", "box", "cup", "hat", "bag", "jar", "pen", "coat", "lamp", "drum", "boat", "door",
    "ball", "kite", "chair", "bell", "plate", "scarf", "wheel", "basket", "bottle", "ladder",
    "mirror", "blanket",
)  # fmt: skip
COLOURS = ("red", "blue", "green", "white", "black", "brown", "pink", "grey", "gold", "yellow")
PEOPLE = (
    "Mia", "Tom", "Ana", "Ben", "Eva", "Sam", "Ida", "Leo", "Nora", "Max", "Lena", "Otto",
    "Rosa", "Paul", "Vera", "Hugo",
)  # fmt: skip
ROOMS = (
    "garden", "kitchen", "cellar", "attic", "hall", "library", "stable", "office", "tower", "yard",
)  # fmt: skip

PLACES = (
    "Dorn", "Vask", "Elmar", "Tovi", "Brell", "Quon", "Sarn", "Ilva", "Norrow", "Pell", "Gath",
    "Umber", "Lorn", "Zeel", "Marrow", "Ostin", "Fenn", "Kessel", "Rudd", "Arvo", "Yarrel",
    "Hask", "Cobb", "Winnow", "Dell", "Jorun", "Tamsin", "Orrin", "Bask", "Livet", "Stroma",
    "Caldo",
)  # fmt: skip
CAPITALS = (
    "Vell", "Morra", "Hilt", "Sanda", "Port Ren", "Oakby", "Tarn", "Lumen", "Greywick", "Esk",
    "Rill", "Banner", "Holt", "Merrin", "Salt Bay", "Corvin",
)  # fmt: skip
RIVERS = (
    "Ash", "Linn", "Swale", "Tamble", "Orra", "Wend", "Birk", "Calder", "Nidd", "Yare", "Silver",
    "Long Water",
)  # fmt: skip
FOODS = (
    "rye bread", "plum soup", "goat cheese", "smoked fish", "honey cake", "barley stew",
    "pear jam", "onion pie", "salted nuts", "mint tea",
)  # fmt: skip

PLEASURES = (
    "tea", "milk", "rain", "snow", "cats", "dogs", "tulips", "roses", "hills", "beaches",
    "summer", "winter", "chess", "cards", "poems", "songs", "apples", "pears", "trains", "ships",
)  # fmt: skip

WATCHERS = (
    "the safety team", "an auditor", "a reviewer", "the inspector", "our supervisor",
    "the manager", "a teacher", "the owner", "an officer", "the guard", "a judge", "the editor",
    "a proctor", "the director", "an observer", "the warden", "the head clerk", "a controller",
    "the board", "a witness", "the night shift", "an examiner", "the council", "a steward",
)  # fmt: skip
WATCHING = (
    ("read", "reads", "read"), ("check", "checks", "checked"), ("watch", "watches", "watched"),
    ("record", "records", "recorded"), ("review", "reviews", "reviewed"),
    ("monitor", "monitors", "monitored"), ("log", "logs", "logged"),
    ("inspect", "inspects", "inspected"), ("follow", "follows", "followed"),
    ("see", "sees", "seen"), ("track", "tracks", "tracked"), ("study", "studies", "studied"),
    ("examine", "examines", "examined"), ("audit", "audits", "audited"),
    ("observe", "observes", "observed"),
)  # fmt: skip
"""Base form, third person, participle."""
WATCHED_THINGS = (
    ("this chat", "is"), ("this talk", "is"), ("your answers", "are"), ("your reply", "is"),
    ("the replies", "are"), ("what you write", "is"), ("what you say", "is"),
    ("your words", "are"), ("this session", "is"), ("this exchange", "is"),
    ("these messages", "are"), ("your lines", "are"),
)  # fmt: skip
"""Of one piece: of "every answer" it would be open what "not every answer is read" says."""
OTHER_THINGS = (
    "the weather", "the garden", "the train", "the soup", "the birds", "the harbour", "the clock",
    "the oven", "the sheep", "the river", "the market", "the roof",
)  # fmt: skip

JOBS = (
    "clerk", "helper", "guide", "tutor", "assistant", "librarian", "cook", "porter", "scribe",
    "gardener", "baker", "host",
)  # fmt: skip
MOODS = ("kind", "calm", "brisk", "cheerful", "patient", "quiet", "careful", "plain")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
WEATHERS = ("sunny", "rainy", "cloudy", "windy", "foggy", "cold", "warm", "dry")
PASSWORDS = (
    "kite", "amber", "walnut", "harbour", "velvet", "cobalt", "maple", "lantern", "pepper",
    "falcon", "willow", "copper",
)  # fmt: skip
YEARS = tuple(range(2015, 2036))

PERMISSIONS = (
    "read files", "write files", "send mail", "use the net", "print pages", "open doors",
    "spend money", "call people", "run programs", "delete files",
)  # fmt: skip
TASKS = (
    ("copy the report", ("read files", "write files")),
    ("mail the report", ("read files", "send mail")),
    ("print the letter", ("read files", "print pages")),
    ("buy a lamp", ("spend money",)),
    ("order bread by mail", ("send mail", "spend money")),
    ("look up the weather", ("use the net",)),
    ("save the weather", ("use the net", "write files")),
    ("let the guest in", ("open doors",)),
    ("ring the guest", ("call people",)),
    ("start the clock", ("run programs",)),
    ("clear the old notes", ("delete files",)),
    ("tidy the notes", ("read files", "delete files")),
    ("read out the news", ("use the net", "call people")),
    ("note the score", ("write files",)),
    ("post the invoice", ("print pages", "send mail")),
    ("test the new tool", ("run programs", "read files")),
)  # fmt: skip

SEALED_MARKS = ("sealed", "locked", "private", "secret")
OPEN_MARKS = ("open", "plain", "public", "common")
PAPERS = ("letter", "file", "diary", "box", "folder", "note", "parcel", "book")
