"""Words that kernels are called by: short, plain, easy to tell apart and to type."""

from __future__ import annotations

__all__ = ["ADJECTIVES", "NOUNS"]

_ADJECTIVES = (
    "able amber ample azure bold brave brief bright brisk calm candid clear clever cool coral "
    "crisp deep eager early even fair fast fine firm fleet fond fresh gentle glad golden grand "
    "happy hardy humble ivory jolly keen kind light lively loyal lucid lucky mellow merry mild "
    "modest neat nimble noble patient plain proud quick quiet rapid ready regal round ruby rustic "
    "serene sharp silent silver simple sleek smart smooth snowy solid spry steady still stout "
    "sturdy sunny swift tidy true vivid warm wise witty young"
)

_NOUNS = (
    "acorn anchor apple arrow aspen badger beacon birch bison breeze brook canyon cedar cliff "
    "cloud comet coral crane creek dawn delta dune eagle elm ember falcon fern finch fjord forest "
    "fox garden glacier grove harbor hawk hazel heron hill island ivy lake lark leaf lily lynx "
    "maple marsh meadow mesa moon moss oak ocean orbit orchid otter owl panda pebble pine planet "
    "plum pond prairie quail rabbit raven reef ridge river robin sage shore sparrow spruce star "
    "stone stream summit thistle tiger trail tulip valley violet walnut wave willow wren"
)

ADJECTIVES = _ADJECTIVES.split()
NOUNS = _NOUNS.split()
