from experiments.imdb.report.confusion import confusion_table

BINARY = {"true_negative": 8, "false_positive": 2, "false_negative": 0, "true_positive": 0}


def figures(*confusions, **more):
    runs = {str(number): {"metrics": {"confusion": each}} for number, each in enumerate(confusions)}
    return {"runs": runs, "groups": {"LSTM": {"runs": list(runs)}}, **more}


def test_two_classes_by_name():
    table = confusion_table(figures(BINARY), "LSTM")
    assert table.head == ["", "predicted negative", "predicted positive"]
    assert table.rows == [["actual negative", "8 (80.0%)", "2 (20.0%)"], ["actual positive", "0", "0"]]
    assert confusion_table(figures(BINARY, classes=["ham", "spam"]), "LSTM").head[1:] == [
        "predicted ham",
        "predicted spam",
    ]


def test_several_classes_are_means_over_seeds():
    one, other = [[4, 0, 0], [1, 2, 1], [0, 0, 2]], [[2, 2, 0], [1, 2, 1], [0, 0, 2]]
    table = confusion_table(figures(one, other, classes=["a", "b", "c"]), "LSTM")
    assert table.caption == "LSTM: mean of 2 seeds"
    assert table.rows == [
        ["actual a", "3 (75.0%)", "1 (25.0%)", "0 (0.0%)"],
        ["actual b", "1 (25.0%)", "2 (50.0%)", "1 (25.0%)"],
        ["actual c", "0 (0.0%)", "0 (0.0%)", "2 (100.0%)"],
    ]
