from .comparison import TalkerComparison as TalkerComparison
from .comparison import compare_talkers as compare_talkers
from .judge import TalkerEvaluation as TalkerEvaluation
from .judge import evaluate_talkers as evaluate_talkers
from .report import write_talker_report as write_talker_report
