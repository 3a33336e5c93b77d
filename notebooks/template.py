# %% [markdown]
# # NN · Title: what it is about
#
# Why it matters, in a few plain sentences to one person. After it you can
#
# * do one thing;
# * do another.
#
# **Minutes:** 10 reading · 1 running quick · 1 running full

# %% tags=["setup"]
import resnet_edu as edu

print(edu.setup(seed=0))

# %% [markdown]
# ### Exercise NN.1 · Output size
#
# **Difficulty** ●○○○○ · **5 minutes**
#
# Say what to write, with the name and the arguments that the cell below begins with.
#
# <details><summary>Hint 1</summary>Where to begin.</details>
# <details><summary>Hint 2</summary>The step at which most people stop.</details>


# %% tags=["exercise"]
def output_size(size: int, kernel: int, padding: int = 0, stride: int = 1) -> int:
    """The side of a convolution's output, in pixels."""
    ### BEGIN SOLUTION
    return (size + 2 * padding - kernel) // stride + 1
    ### END SOLUTION


# %% tags=["check"]
edu.checks.check_output_size(output_size)

# %% [markdown]
# ## Claims you will read elsewhere, tested
#
# "The claim as others write it." What you find when you try:

# %%
assert "resnet20" in edu.models.available(), "the claim, as an assert: what must hold"

# %% [markdown]
# ## Summary
#
# ## Sources
#
# ## Next
