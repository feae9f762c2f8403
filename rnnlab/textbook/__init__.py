"""The derivations behind the lab, executable: five write-ups, each equation by equation in its own letters.

Slow on purpose: loops over time and over indices, float64, nothing shared with the rest of the package,
so that a line can be held against an equation and the fast code against both.

    softmax        the softmax's Jacobian, and the cross-entropy's gradient through it
    kumar          M. Kumar, *RNN Derivatives and Code sample*
    goodfellow     the note "RNN" (16 September 2019) after I. Goodfellow, Y. Bengio & A. Courville,
                   *Deep Learning* (2016), chapter 10
    shah           Falak Shah, *RNN backpropagation*
    brown          Carter N. Brown, *Gradients for an RNN* (2017), after the WildML tutorial
    numpy_slides   *Building a RNN with numpy* (slides)

The page "The derivations" (docs/derivations.md) walks through them, with a table of all letters and the
places where a source is imprecise.
"""
