"""Reviews of products and films, good or bad, in domains that differ in what is reviewed."""

from typing import ClassVar

from tombola.core.errors import Refused, unknown
from tombola.core.plugin import plugin
from tombola.tasks.corpora import Library
from tombola.tasks.sources import Source, check_id, is_hub_id
from tombola.tasks.texts import TextTask

FDU = tuple(
    "apparel baby books camera_photo dvd electronics health_personal_care imdb kitchen_housewares magazines MR music "
    "software sports_outdoors toys_games video".split()
)

BLITZER = ("books", "dvd", "electronics", "kitchen")


def _known(task: str, domains: tuple[str, ...], known: tuple[str, ...]) -> None:
    for domain in domains:
        if domain not in known:
            raise unknown(f"domain of {task}", domain, known)


@plugin("task", "reviews")
class Reviews(TextTask):
    """Reviews of 16 domains, 1,600 for training and 400 for testing each (FDU-MTL: Liu et al., 2017).

    The texts are in small letters and divided into words. Some test reviews stand in the training part; those training
    reviews are taken out. Five domains make the vocabulary: they stand for Books, Electronics, Movies, CDs and Home of
    Desai et al. 2019.
    """

    domain: str = "books"
    shared: tuple[str, ...] = ("books", "electronics", "dvd", "music", "kitchen_housewares")

    label_space: ClassVar[str] = "good and bad reviews"

    def __post_init__(self) -> None:
        super().__post_init__()
        _known("reviews", (*self.domains, *self.shared), FDU)

    def library(self) -> Library:
        """Folder `fdu_mtl`; the hub has no copy."""
        return Library(source=Source(name="fdu_mtl", folder="fdu_mtl"))


@plugin("task", "blitzer_reviews")
class BlitzerReviews(TextTask):
    """Reviews of four domains with stars, raw text (Blitzer et al., 2007): 750 + 200 of each class and domain.

    The set has no division; ours puts equal texts on one side. It overlaps with `reviews`: do not train on the one and
    test on the other.
    """

    domain: str = "books"
    shared: tuple[str, ...] = ("books", "dvd", "electronics", "kitchen")

    label_space: ClassVar[str] = "good and bad reviews"

    def __post_init__(self) -> None:
        super().__post_init__()
        _known("blitzer_reviews", (*self.domains, *self.shared), BLITZER)

    def library(self) -> Library:
        """Folder `amazon_multidomain_sentiment`; the hub has no copy."""
        source = Source(name="blitzer_reviews", folder="amazon_multidomain_sentiment", test="")
        return Library(source=source, stars="stars", division=(750, 200))


@plugin("task", "amazon_reviews")
class AmazonReviews(TextTask):
    """Amazon reviews by category with the protocol of Desai et al. 2019: 30,000 for training, 10,000 for testing.

    Classes are balanced; reviews with 3 stars are dropped; a third of the training part is the paper's validation set
    (recipe `reviews_cnn`). The paper took the collection of McAuley and Leskovec 2013; this reads that of 2023 (Hou et
    al. 2024). Of each category the first `scan` reviews are looked at (0: all), and those whose text has the lowest
    digest are taken. In a folder or on the hub, `file` names the data of a category.
    """

    domain: str = "Books"
    shared: tuple[str, ...] = ("Books", "Electronics", "Movies_and_TV", "CDs_and_Vinyl", "Home_and_Kitchen")
    id: str = "McAuley-Lab/Amazon-Reviews-2023"
    file: str = "raw/review_categories/{domain}.jsonl"
    text: str = "text"
    stars: str = "rating"
    train: int = 30_000
    test: int = 10_000
    scan: int = 2_000_000

    label_space: ClassVar[str] = "good and bad reviews"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_id(self.id)
        for field in ("train", "test"):
            if (number := getattr(self, field)) < 2 or number % 2:
                raise Refused(f"amazon_reviews: field '{field}' is {number}. Both classes have half of it: 2, 4, ...")
        if self.scan < 0:
            raise Refused(f"amazon_reviews: field 'scan' is {self.scan}. It is a number of reviews; 0 means all.")
        if "{domain}" not in self.file:
            raise Refused(f"amazon_reviews: file {self.file!r} does not name a category: write {{domain}} into it.")

    def library(self) -> Library:
        """The folder, or the hub."""
        hub_id = self.id if is_hub_id(self.id) else ""
        source = Source(name="amazon_reviews", folder=self.id, hub_id=hub_id, test="")
        given = {"text": self.text, "stars": self.stars, "file": self.file, "scan": self.scan, "domain": ""}
        return Library(source=source, division=(self.train // 2, self.test // 2), **given)  # type: ignore[arg-type]


@plugin("task", "texts")
class OwnTexts(TextTask):
    """Texts of your own, by hub id, path, or the name of a folder in $TOMBOLA_DATA.

    `text`, `label` and `group` name its columns. Labels are numbers from 0 on, or names of classes, numbered in their
    order; group is the column of domains, "" if there is one domain only, called "all". `train` and `test` are its
    splits. The vocabulary is made of the domains in `shared`, or of the task's own: tasks between which a ticket is
    carried must have the same `shared`.
    """

    id: str
    domain: str = "all"
    config: str = ""
    text: str = "text"
    label: str = "label"
    group: str = ""
    train: str = "train"
    test: str = "test"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_id(self.id)
        if self.train == self.test:
            raise Refused(f"texts: train and test are both '{self.train}'. Testing on training texts proves nothing.")
        if not self.group and self.domain != "all":
            raise Refused(f"texts: domain '{self.domain}' of a set without domains. Name their column: group='domain'.")

    def library(self) -> Library:
        """The folder, or the hub."""
        source = Source(
            name=f"texts(id={self.id!r})",
            folder=self.id,
            hub_id=self.id if is_hub_id(self.id) else "",
            config=self.config,
            label=self.label,
            train=self.train,
            test=self.test,
        )
        return Library(source=source, text=self.text, domain=self.group)
