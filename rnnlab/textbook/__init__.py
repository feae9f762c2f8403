"""Executable versions of five published derivations, equation by equation in the notation of each source.

The code is slow on purpose: it loops over time and over indices in float64 and shares no code with the rest
of the package. Each line can be compared with an equation, and the fast code with both.

    softmax        Jacobian of the softmax, and gradient of the cross-entropy through the softmax
    kumar          M. Kumar, *RNN Derivatives and Code sample*
    goodfellow     the note "RNN" (16 September 2019) after I. Goodfellow, Y. Bengio & A. Courville,
                   *Deep Learning* (2016), chapter 10
    shah           Falak Shah, *RNN backpropagation*
    brown          Carter N. Brown, *Gradients for an RNN* (2017), after the WildML tutorial
    numpy_slides   *Building a RNN with numpy* (slides)

The documentation page docs/derivations.md explains all five derivations. The page has a table of the notation
in each source and a list of errata in the sources.
"""
