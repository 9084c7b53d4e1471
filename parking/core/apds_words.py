"""Why a part of a tariff cannot be told in APDS, or a part of an APDS document not in a tariff, in words.

A reason is published: never renamed; docs/apds.md has a row for each.
"""

from __future__ import annotations

from parking.core.reason import Words

FINDINGS: dict[str, Words] = {
    # export: what rate lines cannot say
    "time_zone_elsewhere": {
        "zh": "费率表没有时区：时区属于场所",
        "en": "a rate table has no time zone: it is the place's",
        "fr": "une table tarifaire n'a pas de fuseau horaire : c'est celui du lieu",
    },
    "seconds_not_said": {
        "zh": "标准未说明秒数是否计入",
        "en": "the standard does not say whether seconds count",
        "fr": "la norme ne dit pas si les secondes comptent",
    },
    "size_as_type": {
        "zh": "大型车写作 heavyVehicle，小型车写作 carOrLightVehicle；界线由停车场规定",
        "en": "large is written heavyVehicle and small carOrLightVehicle; where one ends is the lot's affair",
        "fr": "grand s'écrit heavyVehicle et petit carOrLightVehicle ; la limite est l'affaire du parking",
    },
    "crossing_open": {
        "zh": "标准未说明停车跨越两张费率表时如何计费；本系统在交界处切开，各段重新起算",
        "en": "the standard does not say how a stay that crosses from one table into another is charged; here it is "
              "cut there and each part starts anew",
        "fr": "la norme ne dit pas comment facturer un stationnement qui passe d'une table à une autre ; ici il est "
              "coupé et chaque partie repart de zéro",
    },
    "special_days": {
        "zh": "节假日和调休日需要日历；费率行只写平常的一周",
        "en": "holidays and make-up days need a calendar; the lines tell an ordinary week",
        "fr": "les jours fériés et de rattrapage demandent un calendrier ; les lignes disent une semaine ordinaire",
    },
    "exit_minute": {
        "zh": "离场的那一分钟也计入；标准的时段不含结束时刻",
        "en": "the minute of leaving is charged too; the standard's periods leave their end out",
        "fr": "la minute de sortie compte aussi ; les périodes de la norme excluent leur fin",
    },
    "condition": {
        "zh": "该条件（{asks}）没有对应的资格；费率行只写一般价格",
        "en": "no eligibility says this condition ({asks}); the lines tell the price without it",
        "fr": "aucune éligibilité ne dit cette condition ({asks}) ; les lignes donnent le prix sans elle",
    },
    "first_stop": {
        "zh": "“当日首次停车”没有对应的资格；费率行不含这段免费时间",
        "en": "no eligibility says “first stop of the day”; the lines tell the price without these free minutes",
        "fr": "aucune éligibilité ne dit « premier arrêt du jour » ; les lignes donnent le prix sans ces minutes "
              "gratuites",
    },
    "not_for_all": {
        "zh": "减免在规则内部，资格只能管整张表；费率行只写一般价格",
        "en": "an exemption or a validation inside another rule; eligibility holds for a whole table, so the lines "
              "tell the price without it",
        "fr": "une exonération ou validation à l'intérieur d'une règle ; l'éligibilité vaut pour toute la table, les "
              "lignes donnent donc le prix sans elle",
    },
    "week": {
        "zh": "费率只能每天重新起算，不能每周",
        "en": "a rate starts again at a time of day, not each week",
        "fr": "un tarif repart à une heure du jour, non chaque semaine",
    },
    "whole_stay": {
        "zh": "价格取决于整次停车的时长，而此处只是其中一段",
        "en": "it asks how long the whole stay is, where only a part of it is priced",
        "fr": "il demande la durée totale, là où seule une partie est tarifée",
    },
    "clock_inside": {
        "zh": "该规则在其他规则内部看时钟，费率行只看停车时长",
        "en": "this rule looks at the clock inside another one; rate lines look at the length of the stay alone",
        "fr": "cette règle regarde l'horloge à l'intérieur d'une autre ; les lignes ne regardent que la durée",
    },
    "price_falls": {
        "zh": "停得更久价格反而下降，费率行只能增加",
        "en": "the price falls at some length; rate lines only add",
        "fr": "le prix baisse à une certaine durée ; les lignes ne font qu'ajouter",
    },
    "too_many_lines": {
        "zh": "需要 {lines} 条费率行",
        "en": "it would take {lines} rate lines",
        "fr": "il faudrait {lines} lignes tarifaires",
    },
    "too_much_to_ask": {
        "zh": "逐个时长计价所需的计算量过大",
        "en": "too much work to price it length by length",
        "fr": "trop de calcul pour le tarifer durée par durée",
    },
    "beyond": {
        "zh": "费率行只写到 {days} 天：之后的重复无法写出",
        "en": "the lines tell {days} days; how it goes on after them no line can say",
        "fr": "les lignes vont jusqu'à {days} jours ; aucune ligne ne dit la suite",
    },
    # import: what our rules cannot say, or the document leaves open
    "not_a_rate_table": {
        "zh": "不是 APDS 费率表",
        "en": "no APDS rate table, list of them, or export of ours",
        "fr": "ni table tarifaire APDS, ni liste de tables, ni export d'ici",
    },
    "malformed": {
        "zh": "格式不符：{message}",
        "en": "not of its form: {message}",
        "fr": "forme incorrecte : {message}",
    },
    "unknown_member": {
        "zh": "未知成员，可能影响价格",
        "en": "a member that the standard does not know here; it may bear on the price",
        "fr": "un membre que la norme ne connaît pas ici ; il peut toucher au prix",
    },
    "ignored": {
        "zh": "与价格无关，未采用",
        "en": "not about the price; left out",
        "fr": "sans effet sur le prix ; laissé de côté",
    },
    "currency": {
        "zh": "{currency}：与第一组的币种不同",
        "en": "{currency}: another currency than the first collection's",
        "fr": "{currency} : une autre monnaie que celle du premier groupe",
    },
    "not_whole_fen": {
        "zh": "不是整分、为负或过大",
        "en": "not whole fen, negative or too large",
        "fr": "pas en fen entiers, négatif ou trop grand",
    },
    "not_a_duration": {
        "zh": "不是整分钟的时长",
        "en": "no length in whole minutes (hh:mm, dd:hh:mm or ISO 8601)",
        "fr": "pas une durée en minutes entières (hh:mm, dd:hh:mm ou ISO 8601)",
    },
    "not_a_clock_time": {
        "zh": "不是 hh:mm 时刻",
        "en": "no time of day (hh:mm)",
        "fr": "pas une heure du jour (hh:mm)",
    },
    "not_an_instant": {
        "zh": "不是带时区的时刻",
        "en": "no instant with an offset",
        "fr": "pas un instant avec décalage",
    },
    "tax": {
        "zh": "税费另计或未说明",
        "en": "tax comes on top, or whether it does is not said",
        "fr": "la taxe s'ajoute, ou ce n'est pas dit",
    },
    "event": {
        "zh": "价格随活动时间而定",
        "en": "the rate is told by the times of an event",
        "fr": "le tarif suit les heures d'un événement",
    },
    "relative_times": {
        "zh": "relativeTimes 为真却没有活动时间：按停车开始计",
        "en": "relativeTimes is true and no event is named: taken from the start of the stay",
        "fr": "relativeTimes est vrai sans événement : compté depuis le début du stationnement",
    },
    "minimum": {
        "zh": "没有最低收费规则",
        "en": "no rule of ours has a least amount or a least time",
        "fr": "aucune de nos règles n'a de minimum",
    },
    "line_maximum": {
        "zh": "多条费率行之一的上限，含义不明",
        "en": "a maximum of one line among several: of the line, or of all?",
        "fr": "un maximum d'une ligne parmi plusieurs : de la ligne ou de toutes ?",
    },
    "max_stay": {
        "zh": "没有最长停车时限：更久的停车按费率行计",
        "en": "our tariffs hold no longest stay; a longer one is charged by the lines",
        "fr": "nos tarifs n'ont pas de durée maximale ; au-delà, les lignes s'appliquent",
    },
    "usage": {
        "zh": "该使用条件无法表达",
        "en": "no rule of ours says this usage condition",
        "fr": "aucune règle ne dit cette condition",
    },
    "flat_beside_others": {
        "zh": "同一组中固定价与按时计费并列：相加还是封顶？",
        "en": "a flat rate beside timed lines in one collection: is it added, or a maximum?",
        "fr": "un forfait à côté de lignes horaires : s'ajoute-t-il ou plafonne-t-il ?",
    },
    "no_increment": {
        "zh": "没有 incrementPeriod：金额对应多长时间？",
        "en": "no incrementPeriod: what time is the amount for?",
        "fr": "sans incrementPeriod : pour quelle durée est le montant ?",
    },
    "tier_length": {
        "zh": "分段的 incrementPeriod 与其长度不符",
        "en": "a tier's incrementPeriod is not its length",
        "fr": "l'incrementPeriod du palier n'est pas sa longueur",
    },
    "gap": {
        "zh": "从 {start} 到 {stop} 无费率行（结束不含在内）",
        "en": "no line holds from {start} to {stop} (an end is exclusive)",
        "fr": "aucune ligne de {start} à {stop} (la fin est exclue)",
    },
    "overlap": {
        "zh": "费率行重叠",
        "en": "lines overlap",
        "fr": "des lignes se chevauchent",
    },
    "tiers_open": {
        "zh": "分段金额是各段相加还是总价？请用 tiers=each 或 total 说明",
        "en": "is a tier's value added to those before it, or the whole price? Say tiers=each or tiers=total",
        "fr": "la valeur d'un palier s'ajoute-t-elle aux précédentes ou est-elle le prix entier ? Dire tiers=each ou "
              "total",
    },
    "beyond_open": {
        "zh": "{end} 之后未说明；请用 beyond=again 或 no_more 说明",
        "en": "nothing says what a stay longer than {end} costs: say beyond=again or beyond=no_more",
        "fr": "rien ne dit le prix au-delà de {end} : dire beyond=again ou no_more",
    },
    "beyond_again": {
        "zh": "{end} 不是整小时，无法重复",
        "en": "only whole hours can begin again, up to 744: {end}",
        "fr": "seules des heures entières peuvent recommencer, 744 au plus : {end}",
    },
    "daily_without_reset": {
        "zh": "每日费率却没有重置时刻",
        "en": "a daily rate without the time of day at which it starts again",
        "fr": "un tarif journalier sans heure de remise à zéro",
    },
    "not_public": {
        "zh": "并非对公众的价格",
        "en": "not a price for the public: contract, event, private or restricted",
        "fr": "pas un prix public : contrat, événement, privé ou restreint",
    },
    "status": {
        "zh": "validityStatus 与时段不符",
        "en": "this validityStatus sets the times aside",
        "fr": "ce validityStatus écarte les périodes",
    },
    "period": {
        "zh": "只支持按星期和时刻的周期",
        "en": "periods of ours are days of the week and times of day alone",
        "fr": "nos périodes sont des jours de la semaine et des heures",
    },
    "end_of_day": {
        "zh": "23:59 按午夜计",
        "en": "23:59 is taken for midnight",
        "fr": "23:59 est pris pour minuit",
    },
    "collection_validity": {
        "zh": "费率组的有效期与费率表不同",
        "en": "a collection holds for another time than its table",
        "fr": "un groupe vaut pour une autre période que sa table",
    },
    "validities_differ": {
        "zh": "费率表的有效期不一致",
        "en": "the tables hold for different times",
        "fr": "les tables valent pour des périodes différentes",
    },
    "not_covered": {
        "zh": "{day} {time} 没有费率表",
        "en": "no table holds on {day} at {time}",
        "fr": "aucune table le {day} à {time}",
    },
    "covered_twice": {
        "zh": "{day} {time} 有多张费率表且优先级相同",
        "en": "several tables of one priority hold on {day} at {time}",
        "fr": "plusieurs tables de même priorité le {day} à {time}",
    },
    "crossing_unsaid": {
        "zh": "跨越多张费率表如何计费？请用 crossing=anew 或 at_entry 说明",
        "en": "how is a stay that crosses from one table into another charged? Say crossing=anew or crossing=at_entry",
        "fr": "comment facturer le passage d'une table à l'autre ? Dire crossing=anew ou at_entry",
    },
    "cut": {
        "zh": "这些时段无法由时段和星期规则切出",
        "en": "no windows and days of ours cut a stay exactly at these times",
        "fr": "nos plages et jours ne coupent pas exactement à ces heures",
    },
    "eligibility": {
        "zh": "没有对应的条件",
        "en": "no condition of ours says who this is for",
        "fr": "aucune condition ne dit à qui cela s'adresse",
    },
    "combined": {
        "zh": "组合价或折扣无法表达",
        "en": "tables that are combined, or a discount on one",
        "fr": "des tables combinées, ou une remise",
    },
    "no_table": {
        "zh": "指向的费率表不在文件中",
        "en": "the rate table that is referred to is not in the document",
        "fr": "la table citée n'est pas dans le document",
    },
    "same_id": {
        "zh": "两张费率表的标识相同",
        "en": "two rate tables have one id",
        "fr": "deux tables tarifaires ont le même identifiant",
    },
    "validation_differs": {
        "zh": "各表对商户减免的规定不同",
        "en": "some tables take validations and some do not",
        "fr": "certaines tables acceptent les validations, d'autres non",
    },
    "extension_differs": {
        "zh": "扩展中的收费标准与费率行不符",
        "en": "the lines are not those of the tariff in the extension",
        "fr": "les lignes ne sont pas celles du tarif dans l'extension",
    },
    "bad_tariff": {
        "zh": "不是有效的收费标准：{message}",
        "en": "no tariff of ours: {message}",
        "fr": "pas un tarif d'ici : {message}",
    },
    "language": {
        "zh": "名称只用中、英、法文",
        "en": "names are kept in zh, en and fr",
        "fr": "les noms sont gardés en zh, en et fr",
    },
}
