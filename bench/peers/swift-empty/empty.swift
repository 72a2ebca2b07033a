// What a Swift program that uses the libraries of a function takes to start and end, without a line of ours.
import FoundationEssentials

_ = JSONDecoder()
